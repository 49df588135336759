/** What an episode's movement is held against, each with where the number comes from. Degrees, seconds, shares of frames. */
export const MOTION = {
  /**
   * Servos of these arms (Feetech STS3215) turn 60° in 0.222 s without a load by their data sheet: 270° a second. Faster is a jump of the
   * reading; the margin is for a frame that comes late.
   */
  maxSpeed: 400,
  /** A step of more than half a turn is the encoder's count starting anew, as LeRobot's first calibration guarded against. */
  wrapStep: 180,
  /** Slower than a count of the encoder each frame at 30 Hz (0.088° × 30) is standing still. */
  stillSpeed: 2.7,
  /** More of an episode than this standing still teaches waiting: people rest at both ends, hardly for half of the time. */
  maxIdle: 0.6,
  /** A leader that moves so far while the follower stands is not followed: several times the play of the gears (about 1°). */
  unfollowed: 10,
  /** An arm that follows moves within this time: servos lag some 0.1 s. */
  followSeconds: 1,
  /** Two counts of the encoder: a joint that moves less did not move. */
  deadRange: 0.2,
  /** Parts of a gripper's range, in per cent, that it is told to move through, and that it moves when stuck. */
  gripperTold: 25,
  gripperStuck: 3,
  /** At the end of the range for so much of an episode: a task is not done there. */
  maxSaturated: 0.7,
  /** Rows that repeat the one before while the arm moves: a recorder that reads slower than it writes. */
  maxDoubled: 0.1,
  /** A gap between timestamps of so many frames is a dropped frame. */
  droppedFrames: 1.6,
  maxDropped: 0.02,
  /** An episode so many times longer or shorter than the median is another thing than the others. */
  lengthFactor: 3,
  minEpisodesForLength: 3,
  /** Or so many spreads from the mean length (as lerobot-doctor and lerobot-lint have it). */
  lengthSpreads: 3,
  /** Episodes that are nowhere further apart, in degrees, were one recording: no hand repeats a movement so. */
  duplicateDegrees: 0.5,
  /** Sharpness, as the variance of the Laplacian, under this share of the camera's median, and under this value: out of focus. */
  blurShare: 0.2,
  blurVariance: 60,
} as const;

/** What a check of movement can find. */
export type MotionCode =
  | 'IDLE'
  | 'FROZEN_ARM'
  | 'DEAD_JOINT'
  | 'JUMP'
  | 'ENCODER_WRAP'
  | 'SATURATED'
  | 'STUCK_GRIPPER'
  | 'DOUBLED_ROWS'
  | 'DROPPED_FRAMES'
  | 'LENGTH_OUTLIER'
  | 'NEAR_DUPLICATE'
  | 'BLURRED_CAMERA'
  | NoteCode;

/** What is worth a look, and takes nothing off a score but {@link WORTH} says so. */
export type NoteCode =
  | 'SHORT_EPISODE'
  | 'STILL_JOINT'
  | 'FROZEN_STATE'
  | 'REPEATED_ACTION'
  | 'PINNED'
  | 'ACTION_JUMP'
  | 'UNFOLLOWED'
  | 'ACTION_RANGE'
  | 'OUTLIER';

/** What is left of an episode's worth where a code was found: 1 is nothing lost. */
export const WORTH: Readonly<Record<MotionCode, number>> = {
  IDLE: 0.7,
  FROZEN_ARM: 0.2,
  DEAD_JOINT: 0.6,
  JUMP: 0.5,
  ENCODER_WRAP: 0.3,
  SATURATED: 0.7,
  STUCK_GRIPPER: 0.5,
  DOUBLED_ROWS: 0.6,
  DROPPED_FRAMES: 0.7,
  LENGTH_OUTLIER: 0.8,
  NEAR_DUPLICATE: 0.5,
  BLURRED_CAMERA: 0.6,
  SHORT_EPISODE: 0.7,
  ACTION_JUMP: 0.7,
  STILL_JOINT: 1,
  FROZEN_STATE: 1,
  REPEATED_ACTION: 1,
  PINNED: 1,
  UNFOLLOWED: 1,
  ACTION_RANGE: 1,
  OUTLIER: 1,
};

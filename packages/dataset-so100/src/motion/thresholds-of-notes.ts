/**
 * What an episode's values are held against where no units are needed, each with where the number comes from. What they tell is worth a
 * look rather than a fault for certain: people rest, grippers hold what they have gripped.
 */
export const NOTE = {
  /** The spread of a joint beside that of the joint which moves most: less is standing still (as lerobot-lint has it). */
  stillShare: 0.01,
  /** All joints at the same counts for so long between rows that move: an encoder at rest flickers, a stalled bus does not. */
  frozenSeconds: 0.5,
  frozenFrames: 15,
  /** A run of equal actions over this share of an episode: the leader stood, or was not read (as lerobot-doctor has it). */
  repeatedShare: 0.05,
  /** A joint at the lowest or highest value of the episode for this share of it (as lerobot-lint has it). */
  pinnedShare: 0.3,
  /** Steps of all action values at once, in spreads of such steps in the set, on average: no hand does so (as lerobot-doctor has it). */
  actionStep: 8,
  /** A step of so much of a joint's range in the episode is no movement (as lerobot-lint has it) … */
  stepShare: 0.5,
  /** … where the range is more than the gears' play and the encoder's noise: degrees, or per cent of a gripper's range. */
  stepRange: 10,
  /** Commands and states of a joint that correlate less: it does not do what it is told (as lerobot-lint has it). */
  followCorrelation: 0.8,
  /** More of the actions than this outside of what the states reach: other units, or another zero (as lerobot-lint has it). */
  outsideShare: 0.5,
  /** Spreads from the mean of the whole set: a misread value (as lerobot-doctor has it). */
  outlierSpreads: 10,
  /** An episode that is shorter was hardly meant: seconds, frames (as lerobot-lint has it). */
  shortSeconds: 1,
  shortFrames: 15,
} as const;

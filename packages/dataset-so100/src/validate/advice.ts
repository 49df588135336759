import type { FindingCode } from './findings.ts';

const AGAIN = 'Copy or download the dataset again, complete; or leave the episodes out: --fix DIR --drop unreadable.';
const VIDEO_AGAIN = 'Get the video again, or leave its episodes out: --fix DIR --drop unreadable.';

/** What to do about a finding, by its code. */
const ADVICE: Readonly<Partial<Record<FindingCode, string>>> = {
  DATASET_NOT_FOUND: 'Check the path.',
  DATASET_NOT_LEROBOT: 'Point at the folder with meta/, data/ and videos/ in it.',
  DATASET_VERSION: 'Correct codebase_version in meta/info.json of a copy where the layout is another; convert formats before v2.0 with the script that LeRobot ships.',
  DATASET_METADATA: 'If --fix DIR does not mend it, correct the file under meta/ or get it again; a missing task: --task "…".',
  DATASET_PATH: 'Use only datasets from people you trust: this one names files outside itself.',
  DATASET_LIMIT: 'Correct the size that is claimed, or choose fewer episodes with ?episodes=….',
  DATASET_FILE_MISSING: AGAIN,
  DATASET_FILE_DAMAGED: AGAIN,
  DATASET_FILE_POINTER: 'Run `git lfs pull` where it was cloned, or download the dataset from the hub: hf:owner/name.',
  DATASET_COMPRESSION: 'Write the file again with another compression, such as snappy or zstd.',
  DATASET_ROWS: '--fix DIR corrects lengths and order; episodes with damaged values are left out with --drop unreadable.',
  DATASET_VIDEO: '--fix DIR corrects fps and cuts rows without images. Otherwise: ' + VIDEO_AGAIN,
  DATASET_FRAME: VIDEO_AGAIN,
  DATASET_NO_CAMERAS: 'Record with at least one camera; --fix cannot make images.',
  DATASET_EPISODES: 'Choose episodes that are there with ?episodes=….',
  COUNTS: '--fix DIR counts anew. Nothing stops training.',
  EPISODE_GAPS: 'Nothing to do; --fix DIR numbers them anew.',
  DOUBLED_FRAMES: 'Frames are read once. --fix DIR writes them once, for other programs.',
  MOVED_ROWS: 'They are read from where they are. --fix DIR corrects the metadata, for other programs.',
  DUPLICATE_EPISODE: 'It counts twice in training: --fix DIR --drop duplicate.',
  OVERLAP: 'Give every recording to one place only: leave it out of one with ?episodes=….',
  TIMESTAMPS: 'Frames are taken by position here. LeRobot needs regular times: --fix DIR writes them.',
  FRAME_RATE: 'If the videos play at that rate, --fix DIR corrects fps; otherwise correct fps in meta/info.json.',
  STATISTICS: 'The rows are used here. --fix DIR computes statistics anew, for other programs.',
  SPREAD: 'Here such values are divided by 1. --fix DIR computes statistics anew, for other programs.',
  CONSTANT_FEATURE: 'Nothing to do: a joint that never moves is divided by 1.',
  UNITS: 'State them with --units where the recordings are used; `zk0-client dataset inspect` shows the values.',
  LEADER_OFFSET: 'Calibrate leader and follower again before recording more; a policy learns the offset with the rest.',
  TASK: '--fix DIR corrects what has one answer. Otherwise correct meta/tasks, or give a text: --task "…".',
  CAMERA_SIZE: 'The videos are believed. --fix DIR writes their size.',
  BLACK_CAMERA: 'Check the camera and its cable; leave such episodes out: --fix DIR --drop black.',
  FROZEN_CAMERA: 'Check the camera; leave such episodes out: --fix DIR --drop frozen.',
  IDLE: 'Cut the waiting, or train without such episodes: ?score>=0.6.',
  FROZEN_ARM: 'Check power and cable of the follower; train without such episodes: ?score>=0.6.',
  DEAD_JOINT: 'Check that joint’s servo; train without such episodes: ?score>=0.6.',
  JUMP: 'Check the servo’s cable and calibration; train without such episodes: ?score>=0.6.',
  ENCODER_WRAP: 'Calibrate the arm again, so that no joint passes the encoder’s end; train without such episodes: ?score>=0.6.',
  SATURATED: 'Check the calibration of that joint: its range may be set too small.',
  STUCK_GRIPPER: 'Check the gripper’s servo; train without such episodes: ?score>=0.6.',
  DOUBLED_ROWS: 'Record at a rate that the arm is read at.',
  DROPPED_FRAMES: 'Record with fewer or smaller cameras, or a faster disk.',
  LENGTH_OUTLIER: 'Look at it: it may be cut off, or hold several tries.',
  NEAR_DUPLICATE: 'It counts twice in training: leave one of them out with ?episodes=….',
  BLURRED_CAMERA: 'Clean and focus the camera; leave such episodes out with ?episodes=….',
  UNUSED_FILE: 'Nothing to do; --fix DIR leaves them behind.',
  QUIRK: 'Nothing to do: it is read all the same.',
};

/** What to do about findings of a code, in a sentence. */
export function adviceFor(code: FindingCode): string {
  return ADVICE[code] ?? 'See docs/errors.md.';
}

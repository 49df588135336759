/** A camera of a dataset. Pixels are 8-bit RGB. */
export interface CameraInfo {
  /** Feature name, e.g. `observation.images.top`. */
  readonly key: string;
  readonly height: number;
  readonly width: number;
  /** The name in the recordings, where it was opened under another one. */
  readonly recordedAs?: string;
}

/** One decoded image: RGB, row-major, `height × width × 3` bytes. */
export interface RgbImage {
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

/** One recorded episode inside a dataset. */
export interface EpisodeSpan {
  /** The episode's number as recorded (not renumbered when a subset is opened). */
  readonly episodeIndex: number;
  /** First frame of the episode, as an index into the opened dataset. */
  readonly from: number;
  /** One past the last frame. */
  readonly to: number;
}

/**
 * Exact, mergeable statistics of a vector feature.
 * `m2` is the sum of squared deviations from the mean, so that `std = sqrt(m2 / count)`.
 */
export interface FeatureMoments {
  readonly count: number;
  readonly mean: readonly number[];
  readonly m2: readonly number[];
  readonly min: readonly number[];
  readonly max: readonly number[];
}

/**
 * Units of a joint's values.
 *
 * - `degrees`: from the middle of the joint's range
 * - `degrees-2024`: as SO-100 arms were recorded until mid 2025 (before lerobot #777): from the arm fully extended
 * - `normalized`: −100 … 100 over the joint's calibrated range
 * - `percent`: 0 … 100 over it; grippers
 * - `radians`, `ticks` of the servo's encoder
 * - `unknown`
 */
export type JointUnit = 'degrees' | 'degrees-2024' | 'normalized' | 'percent' | 'radians' | 'ticks' | 'unknown';

/** What the values of a joint mean. */
export interface JointConvention {
  readonly unit: JointUnit;
  /** How sure that is, 0 … 1; 1 where somebody stated it. */
  readonly confidence: number;
  /** Degrees that one unit is on this arm, where its calibration is known; of `normalized` only. */
  readonly degreesPerUnit?: number;
}

/** The actions that follow a frame. */
export interface ActionChunk {
  /** `length × actionSize` values, row-major; past the episode's end the last action repeats. */
  readonly actions: Float32Array;
  /** `length` flags: 1 where the step lies past the episode's end. */
  readonly isPad: Uint8Array;
}

/** Frames of a dataset whose images and tasks are all those of another one, from its first frame to its last. */
export interface FrameOrigin {
  /** Where they begin, as an index into the dataset. */
  readonly from: number;
  /** The other dataset's {@link RobotDatasetInfo.contentHash}. */
  readonly contentHash: string;
  /** Frames of the other dataset. */
  readonly frameCount: number;
}

/** What a dataset is, without opening its frames. Small enough to send to a server. */
export interface RobotDatasetInfo {
  /** Short name for people: the folder's or repository's name. */
  readonly name: string;
  /** The URI it was opened from. */
  readonly uri: string;
  /** Commit that a repository of the hub was read at; absent for recordings from elsewhere. */
  readonly commit?: string;
  /** Hex SHA-256 over what identifies the recordings and the chosen episodes; the key of every cache made from it. */
  readonly contentHash: string;
  /**
   * Where images and tasks come from, in the order of the frames and covering all of them: what is computed from these alone can be
   * shared with whoever opens an origin by itself. Absent where the dataset is its own origin.
   */
  readonly origins?: readonly FrameOrigin[];
  /** {@link contentHash} without what was only named otherwise for this use, as cameras are; absent where nothing was. */
  readonly recordedHash?: string;
  readonly robotType: string;
  readonly fps: number;
  readonly frameCount: number;
  readonly stateNames: readonly string[];
  readonly actionNames: readonly string[];
  readonly cameras: readonly CameraInfo[];
  readonly episodes: readonly EpisodeSpan[];
  /** Distinct task texts. */
  readonly tasks: readonly string[];
  /** Moments of `observation.state` and `action` over the chosen episodes. */
  readonly moments: { readonly state: FeatureMoments; readonly action: FeatureMoments };
  /** What the values mean, by joint; absent where nobody looked. */
  readonly joints?: { readonly state: readonly JointConvention[]; readonly action: readonly JointConvention[] };
  /** Hex SHA-256 of what all parts of one recording have in common: parts of one have one kind of units. */
  readonly recording?: string;
}

/** Where the images and tasks of a dataset's frames come from, see {@link RobotDatasetInfo.origins}. */
export function originsOf({ origins, contentHash, frameCount }: Pick<RobotDatasetInfo, 'origins' | 'contentHash' | 'frameCount'>): readonly FrameOrigin[] {
  return origins ?? [{ from: 0, contentHash, frameCount }];
}

/** Random access to a recorded robot dataset. Frames are numbered 0 … frameCount − 1 over the chosen episodes. */
export interface RobotDataset {
  readonly info: RobotDatasetInfo;
  /** The state at a frame, `stateNames.length` values. The array is the caller's to keep. */
  state(frame: number): Float32Array;
  /** The `length` actions from a frame on, inside its episode. */
  actionChunk(frame: number, length: number): ActionChunk;
  /** The task text of a frame, as recorded (no trailing newline added). */
  task(frame: number): string;
  /**
   * Decodes one frame of the cameras named, in that order.
   *
   * @param reuse images that the caller gives up: their memory may be used for the new ones
   * @throws Zk0Error with the code `DATASET_FRAME` where this frame is damaged and others may not be
   */
  images(frame: number, cameraKeys: readonly string[], reuse?: readonly RgbImage[]): Promise<readonly RgbImage[]>;
  close(): Promise<void>;
}

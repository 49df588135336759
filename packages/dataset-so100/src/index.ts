/**
 * @module
 * LeRobot datasets v2.0, v2.1 and v3.0 in and out: rows, video, statistics, partitioning.
 */
export { DatasetError, type DatasetErrorCode, type DatasetErrorOptions } from './errors.ts';
export { dropEpisodes, type DropResult, type DropRule } from './edit/drop.ts';
export type { EditOptions, EditResult } from './edit/edit.ts';
export { mergeDatasets, type MergeOptions } from './edit/merge.ts';
export { relabelDataset, type RelabelResult, type RelabelRule } from './edit/relabel.ts';
export { splitDataset, type SplitPart, type SplitResult, type SplitRule } from './edit/split.ts';
export { formatEpisodeList, parseEpisodeList } from './read/episode-list.ts';
export { inspectDataset, type DatasetInspection, type JointSummary } from './inspect/inspect.ts';
export { FrameOrder } from './load/frame-order.ts';
export { loadSamples, type LoadOptions, type Sample } from './load/load-samples.ts';
export { joinDatasets, type DatasetPart, type JoinedDatasets, type JoinOptions } from './read/joined-dataset.ts';
export { resampledDataset } from './read/resampled-dataset.ts';
export { LeRobotDataset, type FrameLookup, type LeRobotDatasetParts } from './read/lerobot-dataset.ts';
export { listEpisodes, openDataset, requireCameras, type EpisodeSummary, type OpenOptions } from './read/open.ts';
export { checkRenames, openDatasets, type OpenSeveralOptions } from './read/open-several.ts';
export { deltaFrames, readDeltaSample, type DeltaSample } from './read/delta-sample.ts';
export type { TimestampDrift } from './read/timestamp-drift.ts';
export { useDemoMaker, type DemoMaker, type DemoRequest, type SourceOptions, type SourceProgress } from './read/source.ts';
export { parseDatasetUri, type DatasetUri } from './read/uri.ts';
export { mergeMoments, momentsOf, normalizerFrom, safeStd } from './stats/moments.ts';
export { RunningStatistics, type QuantileStatistics } from './stats/running-statistics.ts';
export {
  assertDisjoint,
  partitionEpisodes,
  type Partition,
  type PartitionEpisode,
  type PartitionOptions,
  type PartitionScheme,
} from './partition/partition.ts';
export {
  DROP_REASONS,
  repairDataset,
  type DropReason,
  type RepairChange,
  type RepairOptions,
  type RepairResult,
} from './repair/repair.ts';
export {
  alignRecording,
  alignRecordings,
  type Alignment,
  type AlignmentDecision,
  type AlignmentTarget,
  type Refusal,
  type VectorAlignment,
} from './units/align-recordings.ts';
export { alignedDataset, alignedMoments, alignedRows, unalignedRow } from './units/aligned-dataset.ts';
export { alignToTarget, readAlignmentTarget, TARGET_FILE, writeAlignmentTarget } from './units/target-file.ts';
export { tryRecordings, type RecordingJudge, type TriedRecordings } from './units/try-recordings.ts';
export { inferUnits, UNIT_CONVENTIONS, type UnitConvention, type UnitHints, type UnitInference } from './units/infer-units.ts';
export { LEADER_OFFSET_DEGREES, leaderOffsets, type LeaderOffset } from './units/leader-offset.ts';
export type { EpisodeScore } from './motion/score-episodes.ts';
export { augmentedDataset } from './augment/augmented-dataset.ts';
export { MOTION, type MotionCode } from './motion/thresholds.ts';
export { adviceFor } from './validate/advice.ts';
export type { Finding, FindingCode, FindingCounts, Severity } from './validate/findings.ts';
export { assertNoOverlap, findOverlap, readContents, type EpisodeContents, type NamedContents } from './validate/overlap.ts';
export { validateDataset, type CheckProgress, type ValidateOptions, type ValidationReport } from './validate/validate.ts';
export type { BackendReport } from './video/backends.ts';
export {
  chooseBackend,
  createVideoDecoder,
  describeVideoDecoding,
  videoBackends,
  type BackendChoice,
  type VideoOptions,
} from './video/choose-decoder.ts';
export type { FrameRequest, VideoBackend, VideoDecoder, VideoFrame } from './video/decoder.ts';
export {
  convertDataset,
  createDatasetWriter,
  DatasetWriteError,
  type ConversionResult,
  type ConvertOptions,
  type DatasetWriteErrorCode,
  type DatasetWriter,
  type DatasetWriterOptions,
  type EpisodeFrame,
  type EpisodeInput,
  type FileLimits,
  type VideoCodec,
  type WrittenDataset,
} from './write/index.ts';
export { VideoFile, type VideoFileOptions } from './write/video-file.ts';

/**
 * @module
 * LeRobot datasets v2.0, v2.1 and v3.0: rows, video, statistics, partitioning.
 */
export { DatasetError, type DatasetErrorCode, type DatasetErrorOptions } from './errors.ts';
export { formatEpisodeList, parseEpisodeList } from './read/episode-list.ts';
export {
  LeRobotDataset,
  type FrameLookup,
  type LeRobotDatasetParts,
  type TimestampDrift,
} from './read/lerobot-dataset.ts';
export { listEpisodes, openDataset, requireCameras, type EpisodeSummary, type OpenOptions } from './read/open.ts';
export { parseDatasetUri, type DatasetUri } from './read/uri.ts';
export { mergeMoments, momentsOf, normalizerFrom, safeStd } from './stats/moments.ts';
export {
  assertDisjoint,
  partitionEpisodes,
  type Partition,
  type PartitionEpisode,
  type PartitionOptions,
  type PartitionScheme,
} from './partition/partition.ts';
export { availableVideoBackends, createVideoDecoder, type VideoOptions } from './video/choose-decoder.ts';
export type { FrameRequest, VideoBackend, VideoDecoder, VideoFrame } from './video/decoder.ts';

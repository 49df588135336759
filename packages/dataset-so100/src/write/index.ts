export { convertDataset, type ConversionResult, type ConvertOptions } from './convert.ts';
export {
  createDatasetWriter,
  type DatasetWriter,
  type DatasetWriterOptions,
  type EpisodeFrame,
  type EpisodeInput,
  type WrittenDataset,
} from './dataset-writer.ts';
export { DatasetWriteError, type DatasetWriteErrorCode } from './errors.ts';
export type { FileLimits } from './layout.ts';
export type { VideoCodec } from './video-file.ts';

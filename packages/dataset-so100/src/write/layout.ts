import type { CameraInfo } from '@zk0/core';
import type { ParquetColumn } from './parquet-file.ts';
import { STATISTIC_NAMES } from './episode-stats.ts';

/** Files per `chunk-CCC` folder, LeRobot's default. */
export const CHUNK_SIZE = 1000;

/** Sizes beyond which a file gets no further episode, in MB (2²⁰ bytes). */
export interface FileLimits {
  readonly dataMegabytes: number;
  readonly videoMegabytes: number;
}

/** LeRobot's. */
export const DEFAULT_FILE_LIMITS: FileLimits = { dataMegabytes: 100, videoMegabytes: 200 };

/** Columns that LeRobot adds to every row. */
export const INDEX_FEATURES = ['frame_index', 'episode_index', 'index', 'task_index'] as const;

/** Position of a file among those of its kind: `chunk-CCC/file-FFF`. */
export interface FilePosition {
  readonly chunk: number;
  readonly file: number;
}

export const FIRST_FILE: FilePosition = { chunk: 0, file: 0 };

/** The position after `position`. */
export function nextFile({ chunk, file }: FilePosition): FilePosition {
  return file + 1 < CHUNK_SIZE ? { chunk, file: file + 1 } : { chunk: chunk + 1, file: 0 };
}

/** Paths inside a v3.0 dataset. */
export const PATHS = {
  info: 'meta/info.json',
  stats: 'meta/stats.json',
  tasks: 'meta/tasks.parquet',
  episodes: `meta/episodes/${filePath(FIRST_FILE)}.parquet`,
  data: (position: FilePosition): string => `data/${filePath(position)}.parquet`,
  video: (camera: string, position: FilePosition): string => `videos/${camera}/${filePath(position)}.mp4`,
} as const;

function filePath({ chunk, file }: FilePosition): string {
  return `chunk-${String(chunk).padStart(3, '0')}/file-${String(file).padStart(3, '0')}`;
}

/** What every episode of a dataset has in common. */
export interface DatasetShape {
  readonly fps: number;
  /** As LeRobot names it, e.g. `so100_follower`. */
  readonly robotType: string;
  readonly stateNames: readonly string[];
  readonly actionNames: readonly string[];
  /** Those recorded as video. */
  readonly cameras: readonly CameraInfo[];
}

/** A dataset whose rows may also hold pictures. */
export interface StoredShape extends DatasetShape {
  /** Cameras whose pictures are kept in the rows. */
  readonly pictures?: readonly CameraInfo[];
}

/** Every camera of a dataset, in the order of their names. */
function allCameras({ cameras, pictures = [] }: StoredShape): readonly CameraInfo[] {
  return [...cameras, ...pictures].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Whether a feature is a camera, in a video or in the rows. */
export function isCamera(shape: StoredShape, feature: string): boolean {
  return allCameras(shape).some(({ key }) => key === feature);
}

/** How the videos of a camera are coded, as `info.json` says it. */
export interface VideoCoding {
  /** FFmpeg's name of the codec. */
  readonly codec: string;
  /** FFmpeg's name of the pixel format; left out where unknown. */
  readonly pixelFormat?: string;
}

/** The columns of `data/`. */
export function rowColumns({ pictures = [] }: StoredShape): readonly ParquetColumn[] {
  return [
    { name: 'action', type: 'float32', nesting: 1 },
    { name: 'observation.state', type: 'float32', nesting: 1 },
    ...pictures.map(({ key }) => ({ name: key, type: 'picture', nesting: 0 }) as const),
    { name: 'timestamp', type: 'float32', nesting: 0 },
    ...INDEX_FEATURES.map((name) => ({ name, type: 'int64', nesting: 0 }) as const),
  ];
}

/** The `huggingface` key of a data file: the types that the `datasets` library gives its columns. */
export function huggingfaceMetadata(shape: StoredShape): string {
  const float32 = { dtype: 'float32', _type: 'Value' };
  const list = (length: number): object => ({ feature: float32, length, _type: 'List' });
  const features = {
    action: list(shape.actionNames.length),
    'observation.state': list(shape.stateNames.length),
    ...Object.fromEntries((shape.pictures ?? []).map(({ key }) => [key, { _type: 'Image' }])),
    timestamp: float32,
    ...Object.fromEntries(INDEX_FEATURES.map((name) => [name, { dtype: 'int64', _type: 'Value' }])),
  };
  return JSON.stringify({ info: { features } });
}

/** The columns of `meta/tasks.parquet`, and the `pandas` key that makes the text the table's index. */
export const TASK_COLUMNS: readonly ParquetColumn[] = [
  { name: 'task_index', type: 'int64', nesting: 0 },
  { name: 'task', type: 'string', nesting: 0 },
];
export const TASKS_PANDAS_METADATA = JSON.stringify({
  index_columns: ['task'],
  column_indexes: [
    { name: null, field_name: null, pandas_type: 'unicode', numpy_type: 'object', metadata: { encoding: 'UTF-8' } },
  ],
  columns: [
    { name: 'task_index', field_name: 'task_index', pandas_type: 'int64', numpy_type: 'int64', metadata: null },
    { name: 'task', field_name: 'task', pandas_type: 'unicode', numpy_type: 'object', metadata: null },
  ],
  attributes: {},
  creator: { library: 'zk0', version: '1' },
  pandas_version: '2.2.2',
});

/** Features that statistics are kept of, in LeRobot's order. */
export function statisticFeatures(shape: StoredShape): readonly string[] {
  return ['action', 'observation.state', ...allCameras(shape).map(({ key }) => key), 'timestamp', ...INDEX_FEATURES];
}

/** The columns of `meta/episodes`. */
export function episodeColumns(shape: StoredShape): ParquetColumn[] {
  const integers = (...names: string[]): ParquetColumn[] => names.map((name) => ({ name, type: 'int64', nesting: 0 }));
  return [
    ...integers('episode_index'),
    { name: 'tasks', type: 'string', nesting: 1 },
    ...integers('length', 'data/chunk_index', 'data/file_index', 'dataset_from_index', 'dataset_to_index'),
    ...shape.cameras.flatMap(({ key }): ParquetColumn[] => [
      ...integers(`videos/${key}/chunk_index`, `videos/${key}/file_index`),
      { name: `videos/${key}/from_timestamp`, type: 'float64', nesting: 0 },
      { name: `videos/${key}/to_timestamp`, type: 'float64', nesting: 0 },
    ]),
    ...statisticFeatures(shape).flatMap((feature) =>
      STATISTIC_NAMES.map((statistic): ParquetColumn => ({
        name: `stats/${feature}/${statistic}`,
        type: isIntegerStatistic(feature, statistic) ? 'int64' : 'float64',
        nesting: isCamera(shape, feature) && statistic !== 'count' ? 3 : 1,
      })),
    ),
    ...integers('meta/episodes/chunk_index', 'meta/episodes/file_index'),
  ];
}

/** Range and count of integer features are integers, their mean and quantiles are not. */
export function isIntegerStatistic(feature: string, statistic: string): boolean {
  if (statistic === 'count') return true;
  return (INDEX_FEATURES as readonly string[]).includes(feature) && (statistic === 'min' || statistic === 'max');
}

/** `meta/info.json` of a finished dataset; `codings` by camera key. */
export function datasetInfo(
  shape: StoredShape,
  codings: ReadonlyMap<string, VideoCoding>,
  totals: { readonly episodes: number; readonly frames: number; readonly tasks: number },
  limits: FileLimits,
): object {
  const vector = (names: readonly string[]): object => ({ dtype: 'float32', names, shape: [names.length] });
  const scalar = (dtype: string): object => ({ dtype, shape: [1], names: null });
  return {
    codebase_version: 'v3.0',
    robot_type: shape.robotType,
    total_episodes: totals.episodes,
    total_frames: totals.frames,
    total_tasks: totals.tasks,
    chunks_size: CHUNK_SIZE,
    data_files_size_in_mb: limits.dataMegabytes,
    video_files_size_in_mb: limits.videoMegabytes,
    fps: shape.fps,
    splits: { train: `0:${totals.episodes}` },
    data_path: 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
    video_path:
      shape.cameras.length === 0 ? null : 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
    features: {
      action: vector(shape.actionNames),
      'observation.state': vector(shape.stateNames),
      ...Object.fromEntries(
        allCameras(shape).map((camera) => {
          const isVideo = shape.cameras.includes(camera);
          return [camera.key, isVideo ? videoFeature(camera, shape.fps, codings.get(camera.key)!) : pictureFeature(camera)];
        }),
      ),
      timestamp: scalar('float32'),
      ...Object.fromEntries(INDEX_FEATURES.map((name) => [name, scalar('int64')])),
    },
  };
}

function pictureFeature({ width, height }: CameraInfo): object {
  return { dtype: 'image', shape: [height, width, 3], names: ['height', 'width', 'channels'] };
}

function videoFeature({ width, height }: CameraInfo, fps: number, { codec, pixelFormat }: VideoCoding): object {
  return {
    dtype: 'video',
    shape: [height, width, 3],
    names: ['height', 'width', 'channels'],
    info: {
      'video.height': height,
      'video.width': width,
      'video.codec': codec,
      ...(pixelFormat === undefined ? {} : { 'video.pix_fmt': pixelFormat }),
      'video.is_depth_map': false,
      'video.fps': fps,
      'video.channels': 3,
      has_audio: false,
    },
  };
}

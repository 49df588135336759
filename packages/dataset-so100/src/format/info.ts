import { describeIssue } from '@zk0/core';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DatasetError } from '../errors.ts';
import { MAX_EPISODES, MAX_FEATURES, MAX_FRAMES, MAX_IMAGE_SIDE, MAX_VECTOR_SIZE } from '../limits.ts';

/** Format versions that are read. */
export type FormatVersion = 'v2.0' | 'v2.1' | 'v3.0';

/** A vector feature: the robot's state or action. */
export interface VectorFeature {
  readonly key: string;
  /** One name per value. */
  readonly names: readonly string[];
}

/** A camera as `info.json` describes it. */
export interface CameraFeature {
  readonly key: string;
  /** `video`: frames in MP4 files; `image`: PNG or JPEG bytes in the rows. */
  readonly kind: 'video' | 'image';
  readonly height: number;
  readonly width: number;
}

/** A feature as `info.json` declares it. */
export interface DeclaredColumn {
  readonly key: string;
  readonly dtype: string;
  /** Values a frame, and names listed for them; null where none are. */
  readonly size: number;
  readonly nameCount: number | null;
}

/** `meta/info.json`, checked and with its variants brought to one form. */
export interface DatasetInfo {
  readonly version: FormatVersion;
  /** Hex SHA-256 of its content. */
  readonly fingerprint: string;
  readonly robotType: string;
  /** Frames per second. */
  readonly fps: number;
  readonly totalEpisodes: number;
  readonly totalFrames: number;
  readonly chunksSize: number;
  readonly dataPath: string;
  readonly videoPath: string | null;
  readonly state: VectorFeature;
  readonly action: VectorFeature;
  readonly cameras: readonly CameraFeature[];
  /** Every feature that is declared and kept in the rows; read are state, action and the usual columns only. */
  readonly columns: readonly DeclaredColumn[];
  /** Tasks it counts; null where it does not say. */
  readonly totalTasks: number | null;
  /** What was unusual and how it was read. */
  readonly warnings: readonly string[];
}

const WRONG_INFO = 'Correct it in a copy of the dataset, or copy or download the dataset again.';

const count = (max: number): z.ZodNumber => z.number().int().min(0).max(max);

const featureSchema = z.looseObject({
  dtype: z.string().max(64),
  shape: z.array(count(2 ** 31)).max(8),
  names: z.unknown().optional(),
  info: z.looseObject({}).nullish(),
  video_info: z.looseObject({}).nullish(),
});
type Feature = z.infer<typeof featureSchema>;

const infoSchema = z.looseObject({
  codebase_version: z.string().max(32),
  robot_type: z.string().max(256).nullish(),
  fps: z.number().positive().max(10_000),
  total_episodes: count(MAX_EPISODES),
  total_frames: count(MAX_FRAMES),
  total_tasks: z.number().int().min(0).nullish().catch(null),
  chunks_size: z.number().int().min(1).max(2 ** 31).optional(),
  data_path: z.string().max(1024),
  video_path: z.string().max(1024).nullish(),
  features: z.record(z.string().min(1).max(256), featureSchema),
});

/** Names under which recorders store the robot's state and the action, the usual one first. */
const STATE_KEYS = ['observation.state', 'state'];
const ACTION_KEYS = ['action', 'actions'];

/**
 * Checks the content of `meta/info.json`.
 *
 * @param json parsed JSON
 * @param file its path, for messages
 * @throws DatasetError `DATASET_NOT_LEROBOT`, `DATASET_VERSION`, `DATASET_METADATA` or `DATASET_LIMIT`
 */
export function parseInfo(json: unknown, file: string): DatasetInfo {
  const version = formatVersion(json, file);
  const parsed = infoSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue === undefined || issue.path.length === 0 ? '' : ` at "${issue.path.join('.')}"`;
    const code = issue?.code === 'too_big' ? 'DATASET_LIMIT' : 'DATASET_METADATA';
    throw new DatasetError(code, `${file} is malformed${where}: ${issue === undefined ? 'unknown reason' : describeIssue(issue)}`, { file, hint: WRONG_INFO });
  }
  const info = parsed.data;
  if (Object.keys(info.features).length > MAX_FEATURES) {
    throw new DatasetError('DATASET_LIMIT', `${file} lists more than ${MAX_FEATURES} features`, { file, hint: WRONG_INFO });
  }
  const warnings: string[] = [];
  return {
    version,
    fingerprint: createHash('sha256').update(JSON.stringify(json)).digest('hex'),
    robotType: info.robot_type ?? 'unknown',
    fps: info.fps,
    totalEpisodes: info.total_episodes,
    totalFrames: info.total_frames,
    chunksSize: info.chunks_size ?? 1000,
    dataPath: info.data_path,
    videoPath: info.video_path ?? null,
    state: vectorFeature(info.features, STATE_KEYS, file),
    action: vectorFeature(info.features, ACTION_KEYS, file),
    cameras: cameraFeatures(info.features, file, warnings),
    columns: declaredColumns(info.features),
    totalTasks: info.total_tasks ?? null,
    warnings,
  };
}

function formatVersion(json: unknown, file: string): FormatVersion {
  const claimed: unknown = (json as { codebase_version?: unknown } | null)?.codebase_version;
  if (typeof claimed !== 'string') {
    throw new DatasetError('DATASET_NOT_LEROBOT', `${file} has no codebase_version, so this is no LeRobot dataset`, {
      file,
      hint: 'Point at the folder that LeRobot recorded: the one with meta/, data/ and videos/ in it.',
    });
  }
  if (claimed === 'v2.0' || claimed === 'v2.1' || claimed === 'v3.0') return claimed;
  throw new DatasetError('DATASET_VERSION', `${file} says format ${claimed.slice(0, 32)}; v2.0, v2.1 and v3.0 are read`, {
    file,
    hint: claimed.startsWith('v1')
      ? 'Convert it with the script that LeRobot ships for its old formats.'
      : 'Update this software, or ask for support of that format.',
  });
}

function vectorFeature(features: Record<string, Feature>, keys: readonly string[], file: string): VectorFeature {
  const key = keys.find((candidate) => Object.hasOwn(features, candidate));
  if (key === undefined) {
    throw new DatasetError('DATASET_METADATA', `${file} has no feature "${keys[0]!}"; it lists ${listOf(features)}`, {
      file,
      hint: 'A recording needs the state of the robot and the action at every frame.',
    });
  }
  const { shape, names } = features[key]!;
  const size = shape[0];
  if (shape.length !== 1 || size === undefined || size === 0) {
    throw new DatasetError('DATASET_METADATA', `${file}: feature "${key}" has shape [${shape.join(', ')}], not [n]`, {
      file,
      hint: WRONG_INFO,
    });
  }
  if (size > MAX_VECTOR_SIZE) {
    throw new DatasetError('DATASET_LIMIT', `${file}: feature "${key}" claims ${size} values a frame`, { file, hint: WRONG_INFO });
  }
  return { key, names: valueNames(names, size, key) };
}

/** Names come as a list, or as `{"motors": [...]}` and the like, or not at all. */
function valueNames(names: unknown, size: number, key: string): readonly string[] {
  const nested: readonly unknown[] =
    names !== null && typeof names === 'object' && !Array.isArray(names) ? Object.values(names) : [names];
  const list: unknown = nested.length === 1 ? nested[0] : nested;
  if (Array.isArray(list) && list.length === size && list.every((name) => typeof name === 'string')) return list;
  return Array.from({ length: size }, (_, index) => `${key}.${index}`);
}

function declaredColumns(features: Record<string, Feature>): readonly DeclaredColumn[] {
  return Object.entries(features).flatMap(([key, { dtype, shape, names }]): DeclaredColumn[] => {
    if (dtype === 'video' || dtype === 'image') return [];
    const list: unknown = names !== null && typeof names === 'object' && !Array.isArray(names) ? Object.values(names)[0] : names;
    // One name may stand for an axis: only lists of a vector's values are counted.
    const nameCount = Array.isArray(list) && shape.length === 1 && shape[0]! > 1 ? list.length : null;
    return [{ key, dtype, size: shape.reduce((product, side) => product * side, 1), nameCount }];
  });
}

function cameraFeatures(features: Record<string, Feature>, file: string, warnings: string[]): CameraFeature[] {
  const cameras: CameraFeature[] = [];
  for (const [key, feature] of Object.entries(features)) {
    if (feature.dtype !== 'video' && feature.dtype !== 'image') continue;
    if (isDepthMap(feature)) {
      warnings.push(`${key} is a depth map and is left out: only colour cameras are read.`);
      continue;
    }
    const { height, width } = imageSize(key, feature, file);
    cameras.push({ key, kind: feature.dtype, height, width });
  }
  return cameras.sort((a, b) => (a.key < b.key ? -1 : 1));
}

function isDepthMap(feature: Feature): boolean {
  const details = { ...feature.video_info, ...feature.info } as Record<string, unknown>;
  return details['video.is_depth_map'] === true || details['is_depth_map'] === true;
}

/** Shapes are `[height, width, 3]` or, from some writers, `[3, height, width]`; `names` tells, else the 3 does. */
function imageSize(key: string, feature: Feature, file: string): { height: number; width: number } {
  const { shape, names } = feature;
  let order = ['height', 'width', 'channel'];
  if (Array.isArray(names) && names.includes('height') && names.includes('width')) order = names as string[];
  else if (shape[0] === 3 && shape[2] !== 3) order = ['channel', 'height', 'width'];
  const height = shape[order.indexOf('height')];
  const width = shape[order.indexOf('width')];
  if (shape.length !== 3 || !height || !width) {
    throw new DatasetError('DATASET_METADATA', `${file}: camera "${key}" has shape [${shape.join(', ')}]`, { file, hint: WRONG_INFO });
  }
  if (height > MAX_IMAGE_SIDE || width > MAX_IMAGE_SIDE) {
    throw new DatasetError('DATASET_LIMIT', `${file}: camera "${key}" claims ${height}×${width} pixels`, { file, hint: WRONG_INFO });
  }
  return { height, width };
}

function listOf(features: Record<string, Feature>): string {
  const keys = Object.keys(features);
  return keys.length === 0 ? 'none' : keys.slice(0, 20).join(', ');
}

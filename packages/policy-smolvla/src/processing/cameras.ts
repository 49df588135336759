import type { RobotDatasetInfo } from '@zk0/core';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { PolicyError } from '../errors.ts';
import type { PolicyFeatures } from '../policy.ts';
import { proposeRenames } from './propose-cameras.ts';

/** Which dataset camera feeds which of the policy's image slots. */
export interface CameraBinding {
  /** Dataset keys of the images in the order the policy takes them. */
  readonly datasetKeys: readonly string[];
  /** Slots behind them that are fed with empty images: always `empty_cameras`, since LeRobot adds as many cameras that no
   * recording has. */
  readonly emptySlots: number;
}

/** A camera that LeRobot adds to config.json by itself for every `empty_cameras`. */
function isEmptyCamera(key: string): boolean {
  return key.startsWith('observation.images.empty_camera_');
}

/**
 * Sizes and cameras that config.json declares; `undefined` when it declares none (a preset).
 */
export function configFeatures(config: SmolVlaConfig): PolicyFeatures | undefined {
  const inputs = Object.entries(config.inputFeatures);
  const stateSize = inputs.find(([, { type }]) => type === 'STATE')?.[1].shape[0];
  const actionSize = Object.values(config.outputFeatures).find(({ type }) => type === 'ACTION')?.shape[0];
  const cameras = inputs.filter(([key, { type }]) => type === 'VISUAL' && !isEmptyCamera(key)).map(([key]) => key);
  if (stateSize === undefined || actionSize === undefined || cameras.length === 0) return undefined;
  return { stateSize, actionSize, cameras };
}

/** What a policy takes of cameras. */
export interface CameraNeeds {
  /** In the order in which it takes them. */
  readonly cameras: readonly string[];
  /** How many of them may be missing. */
  readonly emptyCameras: number;
  /** Name of an observation as recorded → name that the policy takes, from its own processor. */
  readonly renameMap: Readonly<Record<string, string>>;
}

/**
 * Finds the dataset camera for every camera the policy takes: by name, after renaming. What is said with `rename` comes before the
 * policy's own map. Cameras that the policy does not take are left out.
 *
 * Missing ones are allowed up to `empty_cameras`, as in LeRobot: the images that are there come first, in the policy's
 * order, empty ones behind them.
 *
 * @param rename dataset camera → policy camera
 * @throws PolicyError CAMERAS_MISMATCH listing both sides, its hint proposing the likeliest renaming.
 */
export function matchCameras(
  { cameras, emptyCameras, renameMap }: CameraNeeds,
  dataset: Pick<RobotDatasetInfo, 'name' | 'cameras'>,
  rename: Readonly<Record<string, string>>,
): CameraBinding {
  const keys = dataset.cameras.map(({ key }) => key);
  // A renaming is proposed of the names in the recordings, whatever they were opened under.
  const recorded = dataset.cameras.map(({ key, recordedAs = key }) => recordedAs);
  const listed = dataset.cameras.map(({ key, recordedAs }) => (recordedAs === undefined ? key : `${recordedAs} as ${key}`));
  const both = `policy takes [${cameras.join(', ')}], dataset ${dataset.name} has [${listed.join(', ') || 'no cameras'}]`;
  const strangers = Object.keys(rename).filter((key) => !keys.includes(key));
  if (strangers.length > 0) throw mismatch(`renaming names no camera of the dataset: ${strangers.join(', ')}; ${both}`, cameras, recorded, emptyCameras);
  const towards = Object.entries(rename).find(([, name]) => !cameras.includes(name));
  if (towards !== undefined) {
    throw mismatch(`renaming ${towards[0]} to ${towards[1]} names no camera of the policy; ${both}`, cameras, recorded, emptyCameras);
  }
  const byPolicyKey = new Map<string, string>();
  for (const key of keys) {
    const name = rename[key] ?? renameMap[key] ?? key;
    const other = byPolicyKey.get(name);
    if (other !== undefined) throw mismatch(`cameras ${other} and ${key} both become ${name}; ${both}`, cameras, recorded, emptyCameras);
    byPolicyKey.set(name, key);
  }
  const found = cameras.flatMap((name) => byPolicyKey.get(name) ?? []);
  const missing = cameras.filter((name) => !byPolicyKey.has(name));
  if (found.length === 0 || missing.length > emptyCameras) throw mismatch(`no camera for ${missing.join(', ')}; ${both}`, cameras, recorded, emptyCameras);
  return { datasetKeys: found, emptySlots: emptyCameras };
}

function mismatch(message: string, cameras: readonly string[], keys: readonly string[], emptyCameras: number): PolicyError {
  return new PolicyError('CAMERAS_MISMATCH', message, { hint: proposalFor(cameras, keys, emptyCameras) });
}

function proposalFor(cameras: readonly string[], keys: readonly string[], emptyCameras: number): string {
  if (keys.length === 0) return 'SmolVLA needs images: use recordings with at least one camera.';
  const renames = Object.entries(proposeRenames(cameras, keys)).map(([key, name]) => `--rename ${key}=${name}`);
  const left = cameras.length - Math.min(cameras.length, keys.length) - emptyCameras;
  const short = `the policy takes ${cameras.length} cameras and the dataset has ${keys.length}: a policy whose config.json has "empty_cameras": ${left + emptyCameras} does without the others.`;
  if (renames.length === 0) return left > 0 ? `${short[0]!.toUpperCase()}${short.slice(1)}` : 'Leave renamings out: the names are the same.';
  return `The likeliest is ${renames.join(' ')}${left > 0 ? `; ${short}` : '; check that each camera sees what the policy was trained on.'}`;
}

import type { RobotDatasetInfo } from '@zk0/core';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { PolicyError } from '../errors.ts';
import type { PolicyFeatures } from '../policy.ts';

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

/**
 * Finds the dataset camera for every camera the policy takes: by name, after renaming.
 *
 * Missing ones are allowed up to `empty_cameras`, as in LeRobot: the images that are there come first, in the policy's
 * order, empty ones behind them.
 *
 * @throws PolicyError CAMERAS_MISMATCH listing both sides.
 */
export function bindCameras(
  config: SmolVlaConfig,
  features: PolicyFeatures,
  dataset: Pick<RobotDatasetInfo, 'name' | 'cameras'>,
  rename: Readonly<Record<string, string>>,
): CameraBinding {
  const keys = dataset.cameras.map(({ key }) => key);
  const both = `policy takes [${features.cameras.join(', ')}], dataset ${dataset.name} has [${keys.join(', ') || 'no cameras'}]`;
  const hint =
    keys.length === 0
      ? 'SmolVLA needs images: use recordings with at least one camera.'
      : `Map names with --rename, e.g. --rename ${keys[0]!}=${features.cameras[0] ?? 'observation.images.camera1'}.`;
  const strangers = Object.keys(rename).filter((key) => !keys.includes(key));
  if (strangers.length > 0) {
    throw new PolicyError('CAMERAS_MISMATCH', `renaming names no camera of the dataset: ${strangers.join(', ')}; ${both}`, { hint });
  }
  const byPolicyKey = new Map<string, string>();
  for (const key of keys) {
    const name = rename[key] ?? key;
    const other = byPolicyKey.get(name);
    if (other !== undefined) {
      throw new PolicyError('CAMERAS_MISMATCH', `cameras ${other} and ${key} both become ${name}; ${both}`, { hint });
    }
    byPolicyKey.set(name, key);
  }
  const found = features.cameras.flatMap((name) => byPolicyKey.get(name) ?? []);
  const missing = features.cameras.filter((name) => !byPolicyKey.has(name));
  if (found.length === 0 || missing.length > config.emptyCameras) {
    throw new PolicyError('CAMERAS_MISMATCH', `no camera for ${missing.join(', ')}; ${both}`, { hint });
  }
  return { datasetKeys: found, emptySlots: config.emptyCameras };
}

import type { RobotDatasetInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { LeRobotDataset } from './lerobot-dataset.ts';
import { openDataset, type OpenOptions } from './open.ts';
import type { SourceProgress } from './source.ts';

/** How several datasets are opened that one command uses. */
export interface OpenSeveralOptions extends Omit<OpenOptions, 'renameOthers' | 'onProgress' | 'episodes'> {
  readonly onProgress?: (uri: string, progress: SourceProgress) => void;
}

/**
 * Opens several datasets in order. Every renaming is done in the datasets that have the camera; one that none of them has is an
 * error. Closing them is the caller's.
 *
 * @throws DatasetError `DATASET_CAMERA_UNKNOWN` listing the cameras of all; whatever opening one of them throws. None stays open then.
 */
export async function openDatasets(uris: readonly string[], options: OpenSeveralOptions = {}): Promise<LeRobotDataset[]> {
  const { onProgress, rename = {}, ...others } = options;
  const opened: LeRobotDataset[] = [];
  try {
    for (const uri of uris) {
      opened.push(
        await openDataset(uri, {
          ...others,
          rename,
          renameOthers: uris.length > 1,
          ...(onProgress === undefined ? {} : { onProgress: (progress) => { onProgress(uri, progress); } }),
        }),
      );
    }
    if (uris.length > 1) checkRenames(rename, opened.map(({ info }) => info));
    return opened;
  } catch (error) {
    await Promise.all(opened.map((dataset) => dataset.close()));
    throw error;
  }
}

/**
 * Fails unless every renaming names a camera that one of the datasets has.
 *
 * @throws DatasetError `DATASET_CAMERA_UNKNOWN` listing the cameras of all
 */
export function checkRenames(rename: Readonly<Record<string, string>>, datasets: readonly Pick<RobotDatasetInfo, 'name' | 'cameras'>[]): void {
  const sides = datasets.map(({ name, cameras }) => ({ name, keys: cameras.map(({ key, recordedAs = key }) => recordedAs) }));
  const unknown = Object.keys(rename).find((from) => !sides.some(({ keys }) => keys.includes(from)));
  if (unknown === undefined) return;
  const lists = sides.map(({ name, keys }) => `${name} has [${keys.join(', ')}]`).join(', ');
  throw new DatasetError('DATASET_CAMERA_UNKNOWN', `Cannot rename "${unknown}", a camera that no dataset has: ${lists}`, {
    hint: 'Write --rename <recorded name>=<new name>.',
  });
}

import { access } from 'node:fs/promises';
import { DatasetError } from '../errors.ts';
import type { FormatVersion } from './info.ts';
import type { DatasetFolder } from './path-template.ts';

/** What only one family of layouts has under `meta/`. */
const MARKS = { 'v3.0': 'meta/episodes', 'v2.x': 'meta/episodes.jsonl' } as const;

/**
 * Compares the format version that `info.json` claims with the layout that is there.
 *
 * @throws DatasetError `DATASET_VERSION` naming both, where only the other layout's files are there
 */
export async function assertLayout(folder: DatasetFolder, version: FormatVersion): Promise<void> {
  const claimed = version === 'v3.0' ? 'v3.0' : 'v2.x';
  const other = claimed === 'v3.0' ? 'v2.x' : 'v3.0';
  if ((await isThere(folder, MARKS[claimed])) || !(await isThere(folder, MARKS[other]))) return;
  const found = other === 'v3.0' ? 'v3.0' : (await isThere(folder, 'meta/episodes_stats.jsonl')) ? 'v2.1' : 'v2.0';
  const infoFile = folder.join('meta/info.json');
  throw new DatasetError(
    'DATASET_VERSION',
    `${infoFile} says format ${version}; the files are laid out as ${found} (${MARKS[other]} is there, ${MARKS[claimed]} is not)`,
    {
      file: infoFile,
      hint: `Write "codebase_version": "${found}" into meta/info.json of a copy, with the data_path and video_path of that format, or get the dataset again from where it is complete.`,
    },
  );
}

/** @throws DatasetError `DATASET_VERSION` for a folder in the layout of v1.x, which keeps its metadata elsewhere */
export async function refuseOldLayout(folder: DatasetFolder): Promise<void> {
  if (!(await isThere(folder, 'meta_data/info.json'))) return;
  throw new DatasetError('DATASET_VERSION', `${folder.root} is laid out as format v1.x (meta_data/info.json); v2.0, v2.1 and v3.0 are read`, {
    file: folder.join('meta_data/info.json'),
    hint: 'Convert it with the script that LeRobot ships for its old formats.',
  });
}

async function isThere(folder: DatasetFolder, relative: string): Promise<boolean> {
  return await access(folder.join(relative)).then(() => true, () => false);
}

import { randomUUID } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { makeDemoDataset } from '../demo/index.ts';
import { DatasetError } from '../errors.ts';
import { parseDatasetUri, type DatasetUri } from './uri.ts';

/**
 * Raised whenever the demo maker's recordings change, so that those kept from before are not taken for the new ones.
 */
const DEMO_REVISION = 1;

/** Where a dataset is, after everything needed to have it there. */
export interface DatasetSource {
  /** Its folder. */
  readonly root: string;
  /** Short name for people. */
  readonly name: string;
  /** Recorded episode numbers that the address selects; null for all. */
  readonly episodes: readonly number[] | null;
}

/** How far getting a dataset has come. */
export interface SourceProgress {
  readonly phase: 'making';
  readonly done: number;
  readonly total: number;
}

export interface SourceOptions {
  /** Where demo and hub datasets are kept; default `$ZK0_HOME`, else `~/.cache/zk0`. */
  readonly cacheDirectory?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SourceProgress) => void;
}

/**
 * Finds a dataset's folder; makes a demo dataset first where it is not there yet.
 *
 * @throws DatasetError `DATASET_URI`, or whatever making a demo dataset throws
 */
export async function locateDataset(uri: string, options: SourceOptions = {}): Promise<DatasetSource> {
  const parsed = parseDatasetUri(uri);
  switch (parsed.scheme) {
    case 'local':
      return { root: parsed.path, name: path.basename(path.resolve(parsed.path)), episodes: parsed.episodes };
    case 'demo':
      return { root: await ensureDemo(parsed, options), name: `demo-${parsed.task}`, episodes: parsed.episodes };
    case 'hf':
      throw new DatasetError('DATASET_URI', `"${uri}": datasets of the hub cannot be opened by this version`, {
        hint: `Download it (hf download --repo-type dataset ${parsed.repository}) and give the folder's path.`,
      });
  }
}

async function ensureDemo(demo: DatasetUri & { scheme: 'demo' }, options: SourceOptions): Promise<string> {
  const cache = options.cacheDirectory ?? process.env['ZK0_HOME'] ?? path.join(homedir(), '.cache', 'zk0');
  const folder = `${demo.task}-${demo.count}-episodes-seed-${demo.seed}-r${DEMO_REVISION}`;
  const root = path.join(path.resolve(cache), 'demo', folder);
  if (await exists(root)) return root;
  const { signal, onProgress } = options;
  // Made under a name of its own and then moved: of several processes that make it at once, the first one wins, and
  // none ever sees it half there or replaced under its hands.
  const making = `${root}.making-${process.pid}-${randomUUID().slice(0, 8)}`;
  await makeDemoDataset(making, {
    task: demo.task,
    episodes: demo.count,
    seed: demo.seed,
    ...(signal === undefined ? {} : { signal }),
    onProgress: ({ episodes, total }) => onProgress?.({ phase: 'making', done: episodes, total }),
  });
  try {
    await rename(making, root);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    if (!(await exists(root))) throw error;
  }
  return root;
}

async function exists(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null)) !== null;
}

import { randomUUID } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { HubOptions } from '@zk0/hub';
import { DatasetError } from '../errors.ts';
import type { DatasetInfo } from '../format/info.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { UnitConvention } from '../units/infer-units.ts';
import { openHubSource } from './hub-source.ts';
import type { FrameLookup } from './lerobot-dataset.ts';
import { parseDatasetUri, type DatasetUri } from './uri.ts';

/** A demo dataset that an address asks for. */
export interface DemoRequest {
  readonly task: string;
  /** How many episodes to make. */
  readonly episodes: number;
  readonly seed: string;
  /** Whatever else the address says, e.g. `fps` or `place`; the maker checks it. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Makes the datasets of `demo:` addresses; this package only knows where they are kept. */
export interface DemoMaker {
  /** Raised whenever its recordings change, so that those kept from before are not taken for the new ones. */
  readonly revision: number;
  /** Writes the dataset as `directory`, or nothing; the same request gives the same recordings. */
  make(
    request: DemoRequest,
    directory: string,
    hooks: { readonly signal?: AbortSignal; readonly onProgress: (made: number, total: number) => void },
  ): Promise<unknown>;
}

let registered: DemoMaker | undefined;

/** Has every `demo:` address of this process made by `maker`, where no other is handed in with {@link SourceOptions}. */
export function useDemoMaker(maker: DemoMaker): void {
  registered = maker;
}

/** Where a dataset is, its metadata there. */
export interface DatasetSource {
  /** Its folder. */
  readonly root: string;
  /** Short name for people. */
  readonly name: string;
  /** Recorded episode numbers that the address selects; null for all. */
  readonly episodes: readonly number[] | null;
  /** How a row's frame is found in its video. */
  readonly lookup: FrameLookup;
  /** Least score of an episode that is chosen; 0 for all. */
  readonly minScore: number;
  /** What the joints' values mean, where the address says it. */
  readonly units?: UnitConvention;
  /** Commit of the hub repository that it is; undefined for others. */
  readonly commit?: string;
  readonly warnings: readonly string[];
  /** Has the rows and videos of episodes there; nothing where they are on disk anyway. */
  readonly fetch: (episodes: readonly EpisodeRecord[], info: DatasetInfo) => Promise<void>;
  /** Has every data file there, whatever episodes name. */
  readonly fetchData: () => Promise<void>;
}

/** How far getting a dataset has come. */
export interface SourceProgress {
  readonly phase: 'making' | 'downloading';
  /** Episodes made, or bytes downloaded. */
  readonly done: number;
  readonly total: number;
}

export interface SourceOptions {
  /** What makes the datasets of `demo:` addresses; default that of {@link useDemoMaker}, and without either there are none. */
  readonly demo?: DemoMaker;
  /** Where demo datasets are kept; default `$ZK0_HOME`, else `~/.cache/zk0`. */
  readonly cacheDirectory?: string;
  /** How the hub is reached; default as the environment says (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, …). */
  readonly hub?: HubOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SourceProgress) => void;
}

/**
 * Finds a dataset's folder; makes a demo dataset, or fetches the metadata of one of the hub, where it is not there yet.
 *
 * @throws DatasetError `DATASET_URI`; HubError; whatever making a demo dataset throws
 */
export async function locateDataset(uri: string, options: SourceOptions = {}): Promise<DatasetSource> {
  const parsed = parseDatasetUri(uri);
  const { lookup = 'evidence', minScore = 0, episodes, units } = parsed;
  const how: Pick<DatasetSource, 'episodes' | 'lookup' | 'minScore' | 'units'> = { episodes, lookup, minScore, ...(units === undefined ? {} : { units }) };
  switch (parsed.scheme) {
    case 'local':
      return onDisk({ root: parsed.path, name: path.basename(path.resolve(parsed.path)), ...how });
    case 'demo':
      return onDisk({ root: await ensureDemo(parsed, options), name: `demo-${parsed.task}`, ...how });
    case 'hf':
      return openHubSource(parsed, options);
  }
}

function onDisk(source: Pick<DatasetSource, 'root' | 'name' | 'episodes' | 'lookup' | 'minScore' | 'units'>): DatasetSource {
  return { ...source, warnings: [], fetch: () => Promise.resolve(), fetchData: () => Promise.resolve() };
}

async function ensureDemo(demo: DatasetUri & { scheme: 'demo' }, options: SourceOptions): Promise<string> {
  const { demo: maker = registered } = options;
  if (maker === undefined) {
    throw new DatasetError('DATASET_URI', `nothing here makes demo datasets such as demo:${demo.task}`, {
      hint: 'Call useDemoMaker first, with the maker of @zk0/demo-so100.',
    });
  }
  const cache = options.cacheDirectory ?? process.env['ZK0_HOME'] ?? path.join(homedir(), '.cache', 'zk0');
  const settings = Object.entries(demo.settings).map(([key, value]) => `-${key}-${value}`);
  const folder = `${demo.task}-${demo.count}-episodes-seed-${demo.seed}${settings.join('')}-r${maker.revision}`;
  const root = path.join(path.resolve(cache), 'demo', folder);
  if (await exists(root)) return root;
  const { signal, onProgress } = options;
  // Made under a name of its own and then moved: of several processes that make it at once, the first one wins, and
  // none ever sees it half there or replaced under its hands.
  const making = `${root}.making-${process.pid}-${randomUUID().slice(0, 8)}`;
  await maker.make({ task: demo.task, episodes: demo.count, seed: demo.seed, settings: demo.settings }, making, {
    ...(signal === undefined ? {} : { signal }),
    onProgress: (done, total) => onProgress?.({ phase: 'making', done, total }),
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

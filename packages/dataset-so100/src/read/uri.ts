import { fileURLToPath } from 'node:url';
import { errorMessage } from '@zk0/core';
import { parseHubAddress } from '@zk0/hub';
import { DatasetError } from '../errors.ts';
import { UNIT_CONVENTIONS, type UnitConvention } from '../units/infer-units.ts';
import { parseEpisodeList } from './episode-list.ts';

/** What an address chooses of a dataset, and how it is read. */
export interface Selection {
  /** Recorded numbers; null where all are meant. */
  readonly episodes: readonly number[] | null;
  /** How a row's frame is found in its video, where the address says it. */
  readonly lookup?: 'position' | 'timestamp';
  /** Least score of an episode that is chosen, 0 … 1, where the address says it. */
  readonly minScore?: number;
  /** What the joints' values mean, where the address says it. */
  readonly units?: UnitConvention;
  /** How often its frames count where several datasets are read as one, where the address says it. */
  readonly weight?: number;
}

/** A dataset's address, taken apart. */
export type DatasetUri = Selection & (
  | { readonly scheme: 'local'; readonly path: string }
  | { readonly scheme: 'demo'; readonly task: string; readonly count: number; readonly seed: string; readonly settings: Readonly<Record<string, string>> }
  | { readonly scheme: 'hf'; readonly repository: string; readonly revision: string }
);

const HINT = 'Write a path, local:/path, hf:owner/name or demo:<task>?episodes=20&seed=1.';

/** Episodes that a demo dataset has when its address does not say. */
const DEMO_EPISODES = 20;
const MAX_DEMO_EPISODES = 10_000;

/**
 * Parses a dataset's address: a path, `local:/path`, `file:///path`, `demo:<task>`, `hf:owner/name[@revision]`.
 *
 * `?episodes=0-3,7` selects recorded episodes of any of them. For `demo:`, `episodes=20` (a plain number) says instead
 * how many to make, and `select=0-3,7` selects; `seed=1` fixes them; anything else is a setting for the maker of demo datasets.
 * `lookup=position` or `lookup=timestamp` says how frames are found, `units=radians` what the joints' values mean, `score>=0.6`
 * chooses episodes that move soundly (quote it from the shell), and `weight=2` has its frames count twice where several datasets
 * are read as one.
 *
 * @throws DatasetError `DATASET_URI`, HubError `HUB_ADDRESS`
 */
export function parseDatasetUri(uri: string): DatasetUri {
  if (uri === '' || uri.includes('\0')) throw new DatasetError('DATASET_URI', 'The dataset address is empty', { hint: HINT });
  const { base, query } = splitQuery(uri);
  const match = /^([a-z][a-z0-9+.-]+):(.*)$/s.exec(base);
  if (match === null) return { scheme: 'local', path: base, ...selection(query, 'episodes', uri) };
  const [, scheme, rest] = match as unknown as [string, string, string];
  switch (scheme) {
    case 'local':
      return { scheme: 'local', path: rest.replace(/^\/\/(?=\/)/, ''), ...selection(query, 'episodes', uri) };
    case 'file':
      return { scheme: 'local', path: filePath(base), ...selection(query, 'episodes', uri) };
    case 'demo':
      return demoUri(rest, query, uri);
    case 'hf':
      return { scheme: 'hf', ...parseHubAddress(base), ...selection(query, 'episodes', uri) };
    default:
      throw new DatasetError('DATASET_URI', `"${uri}" has the unknown scheme "${scheme}:"`, {
        hint: `${HINT} Where it is a path with a colon in it, write ./${base} or local:${base}.`,
      });
  }
}

/** @throws DatasetError where it is no address of a file, or parts of it are left unescaped */
function filePath(url: string): string {
  try {
    const { hash, search } = new URL(url);
    if (hash === '' && search === '') return fileURLToPath(url);
  } catch (cause) {
    throw new DatasetError('DATASET_URI', `"${url}" is no address of a file: ${errorMessage(cause)}`, { hint: HINT, cause });
  }
  throw new DatasetError('DATASET_URI', `"${url}" has a ? or # that belongs to no path in a file address`, {
    hint: 'Write %3F for ? and %23 for #, or give the path itself.',
  });
}

/** A path may hold a `?`; only a tail of known parameters is a query. */
function splitQuery(uri: string): { base: string; query: URLSearchParams } {
  const at = uri.lastIndexOf('?');
  const isQuery = at > 0 && /^[a-z]+>?=[^/]*$/.test(uri.slice(at + 1));
  return isQuery
    ? { base: uri.slice(0, at), query: new URLSearchParams(uri.slice(at + 1)) }
    : { base: uri, query: new URLSearchParams() };
}

function refuseUnknown(query: URLSearchParams, known: readonly string[], uri: string): void {
  const unknown = [...query.keys()].find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new DatasetError('DATASET_URI', `"${uri}" has the unknown parameter "${unknown}"; known: ${known.join(', ')}`, {
      hint: 'Where the ? belongs to the path, write it as file:///… with %3F in its place.',
    });
  }
}

function selection(query: URLSearchParams, key: 'episodes' | 'select', uri: string): Selection {
  if (key === 'episodes') refuseUnknown(query, ['episodes', 'lookup', 'score>', 'units', 'weight'], uri);
  const text = query.get(key);
  const lookup = query.get('lookup');
  if (lookup !== null && lookup !== 'position' && lookup !== 'timestamp') {
    throw new DatasetError('DATASET_URI', `"${uri}": lookup is position or timestamp, not "${lookup.slice(0, 40)}"`, {
      hint: 'Leave it out: it is decided for each episode by what its videos show.',
    });
  }
  const least = query.get('score>');
  if (least !== null && !(/^(?:0|1|0?\.\d{1,6}|1\.0+)$/.test(least))) {
    throw new DatasetError('DATASET_URI', `"${uri}": score>= takes a number from 0 to 1, not "${least.slice(0, 40)}"`, { hint: 'For example ?score>=0.6.' });
  }
  const stated = query.get('units');
  const units = UNIT_CONVENTIONS.find((convention) => convention === stated);
  if (stated !== null && units === undefined) {
    throw new DatasetError('DATASET_URI', `"${uri}": the units "${stated.slice(0, 40)}" are not known`, { hint: `Choose from ${UNIT_CONVENTIONS.join(', ')}.` });
  }
  const weight = query.get('weight');
  if (weight !== null && !/^(?:[1-9]\d?|100)$/.test(weight)) {
    throw new DatasetError('DATASET_URI', `"${uri}": weight takes a whole number from 1 to 100, not "${weight.slice(0, 40)}"`, { hint: 'For example ?weight=2.' });
  }
  return {
    episodes: text === null ? null : parseEpisodeList(text),
    ...(weight === null ? {} : { weight: Number(weight) }),
    ...(lookup === null ? {} : { lookup }),
    ...(least === null ? {} : { minScore: Number(least) }),
    ...(units === undefined ? {} : { units }),
  };
}

function demoUri(task: string, query: URLSearchParams, uri: string): DatasetUri {
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(task)) {
    throw new DatasetError('DATASET_URI', `"${uri}" names no demo task`, { hint: HINT });
  }
  const text = query.get('episodes') ?? String(DEMO_EPISODES);
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MAX_DEMO_EPISODES) {
    throw new DatasetError('DATASET_URI', `"${uri}": episodes must be a number from 1 to ${MAX_DEMO_EPISODES}`, {
      hint: 'episodes= says how many a demo dataset has; select=0-3,7 chooses some of them.',
    });
  }
  const seed = query.get('seed') ?? '0';
  if (!/^[\w.-]{1,64}$/.test(seed)) throw new DatasetError('DATASET_URI', `"${uri}": seed must be a short word or number`);
  const others = [...query].filter(([key]) => !['episodes', 'seed', 'select', 'lookup', 'score>', 'units', 'weight'].includes(key));
  const unclear = others.find(([, value]) => !/^[\w.-]{1,64}$/.test(value));
  if (unclear !== undefined) throw new DatasetError('DATASET_URI', `"${uri}": ${unclear[0]} must be a short word or number`);
  const settings = Object.fromEntries(others.sort(([a], [b]) => (a < b ? -1 : 1)));
  return { scheme: 'demo', task, count, seed, settings, ...selection(query, 'select', uri) };
}

import { fileURLToPath } from 'node:url';
import { parseHubAddress } from '@zk0/hub';
import { DatasetError } from '../errors.ts';
import { parseEpisodeList } from './episode-list.ts';

/** A dataset's address, taken apart. `episodes` is null where all are meant. */
export type DatasetUri = { readonly episodes: readonly number[] | null } & (
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
 *
 * @throws DatasetError `DATASET_URI`, HubError `HUB_ADDRESS`
 */
export function parseDatasetUri(uri: string): DatasetUri {
  if (uri === '' || uri.includes('\0')) throw new DatasetError('DATASET_URI', 'The dataset address is empty', { hint: HINT });
  const { base, query } = splitQuery(uri);
  const match = /^([a-z][a-z0-9+.-]+):(.*)$/s.exec(base);
  if (match === null) return { scheme: 'local', path: base, episodes: selection(query, 'episodes', uri) };
  const [, scheme, rest] = match as unknown as [string, string, string];
  switch (scheme) {
    case 'local':
      return { scheme: 'local', path: rest.replace(/^\/\/(?=\/)/, ''), episodes: selection(query, 'episodes', uri) };
    case 'file':
      return { scheme: 'local', path: fileURLToPath(base), episodes: selection(query, 'episodes', uri) };
    case 'demo':
      return demoUri(rest, query, uri);
    case 'hf':
      return { scheme: 'hf', ...parseHubAddress(base), episodes: selection(query, 'episodes', uri) };
    default:
      throw new DatasetError('DATASET_URI', `"${uri}" has the unknown scheme "${scheme}:"`, { hint: HINT });
  }
}

/** A path may hold a `?`; only a tail of known parameters is a query. */
function splitQuery(uri: string): { base: string; query: URLSearchParams } {
  const at = uri.lastIndexOf('?');
  const isQuery = at > 0 && /^[a-z]+=[^/]*$/.test(uri.slice(at + 1));
  return isQuery
    ? { base: uri.slice(0, at), query: new URLSearchParams(uri.slice(at + 1)) }
    : { base: uri, query: new URLSearchParams() };
}

function refuseUnknown(query: URLSearchParams, known: readonly string[], uri: string): void {
  const unknown = [...query.keys()].find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new DatasetError('DATASET_URI', `"${uri}" has the unknown parameter "${unknown}"; known: ${known.join(', ')}`);
  }
}

function selection(query: URLSearchParams, key: 'episodes' | 'select', uri: string): readonly number[] | null {
  if (key === 'episodes') refuseUnknown(query, ['episodes'], uri);
  const text = query.get(key);
  return text === null ? null : parseEpisodeList(text);
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
  const others = [...query].filter(([key]) => !['episodes', 'seed', 'select'].includes(key));
  const unclear = others.find(([, value]) => !/^[\w.-]{1,64}$/.test(value));
  if (unclear !== undefined) throw new DatasetError('DATASET_URI', `"${uri}": ${unclear[0]} must be a short word or number`);
  const settings = Object.fromEntries(others.sort(([a], [b]) => (a < b ? -1 : 1)));
  return { scheme: 'demo', task, count, seed, settings, episodes: selection(query, 'select', uri) };
}

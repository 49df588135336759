import { HubError, openHub, type FetchHooks, type Hub, type HubOptions, type HubSnapshot } from '@zk0/hub';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { DatasetSource, SourceOptions } from './source.ts';
import type { DatasetUri } from './uri.ts';

/** The metadata files that are read, of every format version. */
const METADATA = /^meta\/(?:(?:info|stats)\.json|(?:episodes|episodes_stats|tasks)\.jsonl|tasks\.parquet|episodes\/chunk-\d+\/file-\d+\.parquet)$/;

/**
 * Finds a dataset of the hub in the cache that Python shares, and fetches what is not there: its metadata now, rows and
 * videos when episodes are chosen.
 *
 * @throws HubError, StorageError, CancelledError
 */
export async function openHubSource(address: DatasetUri & { readonly scheme: 'hf' }, options: SourceOptions): Promise<DatasetSource> {
  const { repository: name, revision, episodes, lookup = 'evidence', minScore = 0, units } = address;
  const repository = { type: 'dataset', name } as const;
  const { signal, hub: hubOptions = {} } = options;
  const hooks = {
    signal,
    onProgress: ({ bytes, totalBytes }: { readonly bytes: number; readonly totalBytes: number }): void => {
      options.onProgress?.({ phase: 'downloading', done: bytes, total: totalBytes });
    },
  };
  const snapshot = await withHub(hubOptions, async (hub) => {
    const found = await hub.snapshot(repository, revision, signal);
    await found.fetchFolder('meta', (path) => METADATA.test(path), hooks);
    return found;
  });
  return {
    root: snapshot.directory,
    name,
    episodes,
    lookup,
    minScore,
    ...(units === undefined ? {} : { units }),
    commit: snapshot.commit,
    warnings: offlineWarning(snapshot, name),
    fetch: async (chosen, { cameras }) => {
      await withHub(hubOptions, async (hub) => {
        const found = await hub.snapshot(repository, snapshot.commit, signal);
        await found.fetchPaths(filesOf(chosen), hooks);
        if (cameras.some(({ kind }) => kind === 'image')) await fetchPictures(found, chosen, hooks);
      });
    },
    fetchData: async () => {
      await withHub(hubOptions, async (hub) => {
        const found = await hub.snapshot(repository, snapshot.commit, signal);
        await found.fetchFolder('data', (path) => path.endsWith('.parquet'), hooks);
      });
    },
  };
}

async function withHub<T>(options: HubOptions, work: (hub: Hub) => Promise<T>): Promise<T> {
  const hub = await openHub(options);
  try {
    return await work(hub);
  } finally {
    await hub.close();
  }
}

/** Pictures in files of their own, of sets that have any; those in rows came with the rows. */
async function fetchPictures(snapshot: HubSnapshot, episodes: readonly EpisodeRecord[], hooks: FetchHooks): Promise<void> {
  const wanted = new Set(episodes.map(({ episodeIndex }) => `episode_${String(episodeIndex).padStart(6, '0')}`));
  try {
    await snapshot.fetchFolder('images', (path) => wanted.has(path.split('/').at(-2) ?? ''), hooks);
  } catch (error) {
    // Offline, a set without such files looks like one whose files are not in the cache: reading a picture tells.
    if (!(error instanceof HubError) || error.code !== 'HUB_OFFLINE') throw error;
  }
}

/** Files that hold the rows and frames of episodes; one file may hold many. */
function filesOf(episodes: readonly EpisodeRecord[]): Set<string> {
  return new Set(episodes.flatMap(({ dataFile, videos }) => [dataFile, ...[...videos.values()].map(({ file }) => file)]));
}

function offlineWarning({ offline, commit }: HubSnapshot, name: string): string[] {
  // Who asked for it need not be told.
  if (offline === undefined || offline.code === 'HUB_OFFLINE') return [];
  return [`${name} is taken from the cache as it was at ${commit.slice(0, 12)}: ${offline.message}.`];
}

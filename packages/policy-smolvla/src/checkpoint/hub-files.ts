import type { WorkHooks } from '@zk0/core';
import { HubError, isHubAddress, openHub, parseHubAddress, type FetchHooks, type HubOptions, type HubSnapshot } from '@zk0/hub';
import { PolicyError } from '../errors.ts';
import { ADAPTER_CONFIG_FILE } from './adapter.ts';

/** How files of the hub are fetched. */
export interface HubAccess extends Pick<WorkHooks, 'signal' | 'onProgress'> {
  /** How the hub is reached; default as the environment says (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, …). */
  readonly hub?: HubOptions;
}

/** A repository's files on disk. */
export interface HubFolder {
  readonly directory: string;
  /** The address with the commit in place of the revision: it means the same tomorrow. */
  readonly source: string;
}

/** The files of a policy, in both forms: configuration, weights, processors with their statistics, a VLM folder. Paths with `/`. */
export const POLICY_FILES = /^(?:config\.json|adapter_config\.json|policy_\w+\.json|model\.safetensors\.index\.json|(?:model|trained|policy)[\w.-]*\.safetensors|vlm\/[\w.-]+\.json)$/;

/**
 * Fetches a policy, `hf:owner/name[@revision]`, into the cache that Python shares.
 *
 * @throws PolicyError POLICY_NOT_FOUND; HubError, StorageError, CancelledError
 */
export async function fetchPolicy(address: string, access: HubAccess): Promise<HubFolder> {
  return fetchFrom(address, access, async (snapshot, hooks) => {
    const files = await snapshot.fetchFolder('', (path) => POLICY_FILES.test(path), hooks);
    if (files.includes('config.json') || files.includes(ADAPTER_CONFIG_FILE)) return;
    throw new PolicyError('POLICY_NOT_FOUND', `${address} has no config.json`, { hint: 'Name a repository that LeRobot pushed a policy to.' });
  });
}

/**
 * Fetches files of the vision-language model that a policy names: `owner/name`, as LeRobot writes it, or an address.
 *
 * @param files - their names; those that the repository does not have are left out.
 * @returns null when the name cannot be one of the hub.
 * @throws HubError, StorageError, CancelledError
 */
export async function fetchVlm(name: string, files: readonly string[], access: HubAccess): Promise<HubFolder | null> {
  const address = isHubAddress(name) ? name : `hf:${name}`;
  try {
    parseHubAddress(address);
  } catch (error) {
    if (error instanceof HubError) return null;
    throw error;
  }
  return fetchFrom(address, access, (snapshot, hooks) => snapshot.fetchPaths(files, hooks));
}

async function fetchFrom(
  address: string,
  { hub: options = {}, signal, onProgress }: HubAccess,
  fetch: (snapshot: HubSnapshot, hooks: FetchHooks) => Promise<unknown>,
): Promise<HubFolder> {
  const { repository, revision } = parseHubAddress(address);
  const hub = await openHub(options);
  try {
    const snapshot = await hub.snapshot({ type: 'model', name: repository }, revision, signal);
    await fetch(snapshot, {
      signal,
      onProgress: ({ bytes, totalBytes }) => onProgress?.({ phase: 'downloading', step: bytes, totalSteps: totalBytes }),
    });
    return { directory: snapshot.directory, source: `hf:${repository}@${snapshot.commit}` };
  } finally {
    await hub.close();
  }
}

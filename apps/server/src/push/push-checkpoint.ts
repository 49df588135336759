import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { Zk0Error } from '@zk0/core';
import { openHub, type HubOptions, type PushedRepository, type PushProgress } from '@zk0/hub';
import { refusePointerFiles } from '@zk0/storage';
import { PLACE } from '../outputs/model-card.ts';

/** What is pushed, and where to. */
export interface PushCheckpointOptions {
  /** `owner/name` of a repository of models. */
  readonly repository: string;
  /** Name of a tag; by default `fl-run-<run>-round-<n>`, from the checkpoint's card and metrics. */
  readonly tag?: string;
  readonly message?: string;
  /** A repository that is created is for its owner alone. */
  readonly private?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PushProgress) => void;
  readonly hub?: HubOptions;
}

/** What was pushed. */
export interface PushedCheckpoint extends PushedRepository {
  /** `null` where neither the checkpoint nor the caller names one. */
  readonly tag: string | null;
}

/** What a checkpoint has to hold, whatever its form. */
const NEEDED = ['README.md', 'config.json'];
/** The policy's weights, one of these: whole, in parts, or the trained ones alone. Other files of tensors are of its processors. */
const WEIGHTS = ['model.safetensors', 'model.safetensors.index.json', 'trained.safetensors'];

/**
 * Pushes a checkpoint's folder to the hub; its card names the repository then.
 *
 * @throws Zk0Error `CHECKPOINT_INCOMPLETE`; HubError; StorageError, `FILE_POINTER` where a pointer of git-lfs stands in place of a file
 */
export async function pushCheckpoint(directory: string, options: PushCheckpointOptions): Promise<PushedCheckpoint> {
  const { repository, signal, onProgress, message } = options;
  refuseAdapter(directory);
  const names = filesOf(directory);
  await refusePointerFiles(names.map((name) => join(directory, ...name.split('/'))));
  const card = readFileSync(join(directory, 'README.md'), 'utf8');
  const { run, round } = identityOf(directory, card);
  const tag = options.tag ?? (run === undefined || round === undefined ? undefined : tagOf(run, round));
  const files = names.map((name) => ({ path: name, content: name === 'README.md' ? Buffer.from(placed(card, repository)) : join(directory, ...name.split('/')) }));
  const hub = await openHub(options.hub);
  try {
    const pushed = await hub.push(
      { type: 'model', name: repository },
      {
        files,
        message: message ?? (run === undefined ? 'Checkpoint of zk0' : `Run ${run}, round ${round ?? '?'}`),
        ...(tag !== undefined && { tag }),
        ...(options.private === true && { private: true }),
        ...(signal !== undefined && { signal }),
        ...(onProgress !== undefined && { onProgress }),
      },
    );
    return { ...pushed, tag: tag ?? null };
  } finally {
    await hub.close();
  }
}

/** An adapter of the PEFT library has a card, too, but no policy's weights. */
function refuseAdapter(directory: string): void {
  if (!existsSync(join(directory, 'adapter_config.json'))) return;
  if (WEIGHTS.some((name) => existsSync(join(directory, name)))) return;
  throw new Zk0Error('CHECKPOINT_INCOMPLETE', `${directory} holds an adapter (adapter_config.json), not a policy`, {
    hint: 'Merge it into its base in Python first, or push it with Python: PeftModel.push_to_hub.',
  });
}

/** The files of a checkpoint, by path, hidden ones left out. */
function filesOf(directory: string): string[] {
  const missing = existsSync(directory) ? NEEDED.find((name) => !existsSync(join(directory, name))) : 'the folder';
  const names = missing === undefined ? readdirSync(directory, { recursive: true, withFileTypes: true }) : [];
  const files = names
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(directory, sep).length).replaceAll(sep, '/'))
    .filter((name) => !name.split('/').some((part) => part.startsWith('.')))
    .sort();
  if (missing === undefined && WEIGHTS.some((name) => files.includes(name))) return files;
  throw new Zk0Error('CHECKPOINT_INCOMPLETE', `${directory} is no checkpoint: ${missing ?? WEIGHTS[0]!} is missing`, {
    hint: 'Name a folder such as outputs/RUN/models/checkpoint_round_20.',
  });
}

/** Run and round, as the checkpoint itself says them. */
function identityOf(directory: string, card: string): { readonly run: string | undefined; readonly round: number | undefined } {
  const run = /\*\*Run\*\*: `([^`]+)`/.exec(card)?.[1];
  try {
    const { round } = JSON.parse(readFileSync(join(directory, 'metrics.json'), 'utf8')) as { readonly round?: unknown };
    return { run, round: typeof round === 'number' ? round : undefined };
  } catch {
    return { run, round: undefined };
  }
}

/** A tag as git takes it. */
function tagOf(run: string, round: number): string {
  return `fl-run-${run.replace(/[^\w-]+/g, '-')}-round-${round}`;
}

/** The card with the repository's name where it says how to load the policy. */
function placed(card: string, repository: string): string {
  return card.replaceAll(PLACE.lerobot, repository).replaceAll(PLACE.zk0, `hf:${repository}`);
}

import { createHash } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorMessage, InvalidArgumentError, Zk0Error, type TensorSource, type TensorSpec } from '@zk0/core';
import { fileError, hashFile, isPassingStorageError, makeDirectory, openSafetensors, syncDirectory, writeTensors, type SafetensorsFile } from '@zk0/storage';

/** Which file of a run a task is about. In another run it means nothing. */
export interface RunPosition {
  readonly runId: string;
  /** The round that is trained. */
  readonly round: number;
  /**
   * What the client sent last that the server counted, by its hash, and in which round where that is known; it names the file that
   * was written with it. `null`: the server counted nothing yet.
   */
  readonly last: { readonly sent: string; readonly round?: number } | null;
}

/** The same where files are named by updates, as tasks name them. */
export interface UpdatePosition {
  readonly runId: string;
  readonly round: number;
  /** The client's last update that the server counted, which names the file written with it; `null`: none yet. */
  readonly last: { readonly round: number; readonly update: string } | null;
}

/** The files of a run that are named by the updates that are sent. */
export function namedByUpdate({ runId, round, last }: UpdatePosition): RunPosition {
  return { runId, round, last: last === null ? null : { round: last.round, sent: last.update } };
}

/** What a task finds. */
export interface OpenRunFile {
  /** `null`: there is none. */
  readonly file: SafetensorsFile | null;
  /** Why there is none although the server counted what it was written with. */
  readonly lost?: string;
}

/** A file that is on disk, and has no name yet that a task finds it by. */
export interface UnnamedFile {
  readonly path: string;
  /** Of its bytes. */
  readonly hash: string;
}

/** `<round>-<hash of what was sent>-<hash of the file>.safetensors`. */
const NAME = /^(?<round>\d{1,15})-(?<sent>[0-9a-f]{64})-(?<content>[0-9a-f]{64})\.safetensors$/;

/**
 * What a client keeps between the rounds of one run, under `directory`: a file of tensors for each round that it trained, named by what
 * was sent with it.
 *
 * The server's ledger alone says which file holds. A round writes its file beside the one that it began with, and every task names
 * what counted last; so nothing here is ever "advanced", and each instant of a crash leaves a consistent state:
 *
 * - before the file has its name: the next task removes what is there of it, and the round is trained anew from the file before it.
 * - after that, before the result was sent, or it was refused, was late, or the round did not count: the next task names the older
 *   file, which is still there, and the newer one is removed with the first task of a later round.
 * - after the server counted the update, whether or not its answer arrived: the next task names the new file, which was forced to disk
 *   under its name before anything was sent.
 * - the same round is trained twice, because the first result was still being checked: a file of the current round is never removed,
 *   so whichever of the two counts is there.
 *
 * A file that is gone, damaged or of other tensors is reported as lost. Damage is known by the hash in the file's name.
 */
export class RunFiles {
  readonly #directory: string;
  readonly #clientId: string;

  constructor(directory: string, clientId: string) {
    this.#directory = directory;
    this.#clientId = clientId;
  }

  /**
   * Opens the file that a task names, and removes those that no task can name any more: of other runs, and of earlier rounds.
   *
   * @param specs of the tensors that it must hold.
   * @throws StorageError where the folder cannot be used; of a passing kind (no file handle left) also for the file.
   */
  async open(position: RunPosition, specs: readonly TensorSpec[]): Promise<OpenRunFile> {
    const directory = this.#of(position);
    const { last } = position;
    const found = await this.#tidy(position, directory).catch((error: unknown) => {
      throw fileError('write', directory, error);
    });
    if (last === null) return { file: null };
    if (found === undefined) return { file: null, lost: `it is not in ${directory}` };
    try {
      return { file: await openChecked(join(directory, found.name), found.content, this.#metadata(position), specs) };
    } catch (error) {
      if (!(error instanceof Zk0Error) || isPassingStorageError(error)) throw error;
      return { file: null, lost: errorMessage(error) };
    }
  }

  /** Removes what no task can name any more; returns the file that this one names. */
  async #tidy({ round, last }: RunPosition, directory: string): Promise<{ readonly name: string; readonly content: string } | undefined> {
    makeDirectory(directory);
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      if (path !== directory) await rm(path, { recursive: true, force: true });
    }
    let found: { readonly name: string; readonly content: string } | undefined;
    for (const name of await readdir(directory)) {
      const parts = NAME.exec(name)?.groups as { round: string; sent: string; content: string } | undefined;
      const isLast = parts !== undefined && parts.sent === last?.sent && parts.round === String(last.round ?? parts.round);
      if (isLast) found = { name, content: parts.content };
      else if (parts?.round !== String(round)) await rm(join(directory, name), { force: true });
    }
    return found;
  }

  /** A path for a file in the making, which the next task removes. The position must have been opened. */
  scratch(position: RunPosition, name: string): string {
    return join(this.#of(position), name);
  }

  /** Writes the file of a round and forces it to disk. The position must have been opened. */
  async write(position: RunPosition, source: TensorSource, metadata: Readonly<Record<string, string>> = {}): Promise<UnnamedFile> {
    const path = this.scratch(position, 'unnamed');
    const { hash } = await writeTensors(path, source, { metadata: { ...metadata, ...this.#metadata(position) } });
    return { path, hash };
  }

  /** Gives a file the name that a task finds it by once the server has counted `sent`; the name is forced to disk, too. */
  async name(position: RunPosition, { path, hash }: UnnamedFile, sent: string): Promise<void> {
    const named = this.scratch(position, `${position.round}-${sent}-${hash}.safetensors`);
    try {
      await rename(path, named);
      await syncDirectory(dirname(named));
    } catch (error) {
      throw fileError('write', named, error);
    }
  }

  /** Forgets everything: a run without such files has begun. */
  async clear(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Run ids come from the server: they never name a folder themselves. */
  #of(position: RunPosition): string {
    return join(this.#directory, createHash('sha256').update(JSON.stringify(this.#metadata(position))).digest('hex').slice(0, 32));
  }

  #metadata({ runId }: RunPosition): Record<string, string> {
    return { run: runId, client: this.#clientId };
  }
}

async function openChecked(
  path: string,
  content: string,
  metadata: Readonly<Record<string, string>>,
  specs: readonly TensorSpec[],
): Promise<SafetensorsFile> {
  const file = await openSafetensors(path);
  try {
    const isOwn = Object.entries(metadata).every(([key, value]) => file.metadata[key] === value);
    if (!isOwn || JSON.stringify(file.specs) !== JSON.stringify(specs)) throw new InvalidArgumentError(`${path} belongs to another run or model`);
    if ((await hashFile(path)).hash !== content) throw new InvalidArgumentError(`${path} is damaged`);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

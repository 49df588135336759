import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, InvalidArgumentError, Zk0Error, type BlobReference, type TensorSource, type TensorSpec } from '@zk0/core';
import { openSafetensors, writeTensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';
import { scaffoldChange } from '@zk0/strategy';

/** Which c_k a task is about. In another run it means nothing. */
export interface ControlPosition {
  readonly runId: string;
  readonly round: number;
  /** Hash of the last change that the server counted, which names the variate after it; `null`: none yet, c_k is zero. */
  readonly last: string | null;
}

/** A client's control variate during a round. */
export interface OpenControl {
  /** c_k; `null` for zeros. */
  readonly variate: SafetensorsFile | null;
  /** Why c_k is zero although the server counted one. */
  readonly lost?: string;
}

/** A file that a change made: `<round>-<hash of the change>.safetensors`. */
const FILE = /^(?<round>\d{1,15})-(?<change>[0-9a-f]{64})\.safetensors$/;

/**
 * SCAFFOLD's c_k on disk, under `directory`, from round to round of one run.
 *
 * The server's ledger alone says which c_k holds. A round writes its c_k⁺ beside c_k, named by the hash of the change that is sent,
 * and every task names the last change that counted; so nothing here is ever "advanced", and each instant of a crash leaves a
 * consistent state:
 *
 * - before c_k⁺ has its name: nothing is there but a temporary file, which the next task removes. The round is trained anew from c_k.
 * - after that, before the result was sent, or it was refused, was late, or the round did not count: the next task names the older
 *   change; c_k is still there, and c_k⁺ is removed with the first task of a later round.
 * - after the server counted the update, whether or not its answer arrived: the next task names the new change, whose file was forced
 *   to disk before anything was sent.
 * - the same round is trained twice, because the first result was still being checked: a file of the current round is never removed,
 *   so whichever of the two changes counts is there.
 *
 * A file that is gone, damaged or of other tensors is reported as lost, and c_k begins with zero. What the server keeps of the lost one
 * stays in its own variate.
 */
export class ControlStore {
  readonly #directory: string;
  readonly #clientId: string;
  readonly #blobs: BlobStore;

  /** @param blobs where changes are put, to be sent. */
  constructor(directory: string, clientId: string, blobs: BlobStore) {
    this.#directory = directory;
    this.#clientId = clientId;
    this.#blobs = blobs;
  }

  /** Opens c_k, and removes what no task can ask for any more: other runs' files, and those of earlier rounds. */
  async open(position: ControlPosition, specs: readonly TensorSpec[]): Promise<OpenControl> {
    const { round, last } = position;
    const directory = this.#of(position);
    await mkdir(directory, { recursive: true });
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      if (path !== directory) await rm(path, { recursive: true, force: true });
    }
    for (const name of await readdir(directory)) {
      const parts = FILE.exec(name)?.groups;
      if (parts?.['change'] === last || parts?.['round'] === String(round)) continue;
      await rm(join(directory, name), { force: true });
    }
    if (last === null) return { variate: null };
    const name = (await readdir(directory)).find((candidate) => FILE.exec(candidate)?.groups?.['change'] === last);
    if (name === undefined) return { variate: null, lost: `it is not in ${directory}` };
    try {
      return { variate: await openChecked(join(directory, name), this.#metadata(position), specs) };
    } catch (error) {
      if (!(error instanceof Zk0Error)) throw error;
      return { variate: null, lost: errorMessage(error) };
    }
  }

  /**
   * Keeps c_k⁺ for when the server counts its change.
   *
   * @returns the change, `c_k⁺ − c_k`, to be sent.
   */
  async save(position: ControlPosition, variate: TensorSource | null, next: TensorSource): Promise<BlobReference> {
    const directory = this.#of(position);
    const path = join(directory, 'change');
    const written = await writeTensors(path, scaffoldChange(next, variate));
    const change = await this.#blobs.putFile(path, written);
    await rm(path);
    await writeTensors(join(directory, `${position.round}-${change.hash}.safetensors`), next, this.#metadata(position));
    return change;
  }

  /** Forgets everything: a run without control variates has begun. */
  async clear(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Run ids come from the server: they never name a folder themselves. */
  #of(position: ControlPosition): string {
    return join(this.#directory, createHash('sha256').update(JSON.stringify(this.#metadata(position))).digest('hex').slice(0, 32));
  }

  #metadata({ runId }: ControlPosition): Record<string, string> {
    return { run: runId, client: this.#clientId };
  }
}

async function openChecked(path: string, metadata: Readonly<Record<string, string>>, specs: readonly TensorSpec[]): Promise<SafetensorsFile> {
  const file = await openSafetensors(path);
  const isOwn = Object.entries(metadata).every(([key, value]) => file.metadata[key] === value);
  if (isOwn && JSON.stringify(file.specs) === JSON.stringify(specs)) return file;
  await file.close();
  throw new InvalidArgumentError(`${path} belongs to another run or model`);
}

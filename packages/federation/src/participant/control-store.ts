import { rm } from 'node:fs/promises';
import type { BlobReference, TensorSource, TensorSpec } from '@zk0/core';
import { writeTensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';
import { scaffoldChange } from '@zk0/strategy';
import { RunFiles, type RunPosition } from './run-files.ts';

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

/**
 * SCAFFOLD's c_k on disk, under `directory`, from round to round of one run: {@link RunFiles} named by the change of c_k that is sent.
 *
 * A file that is lost lets c_k begin with zero. What the server keeps of the lost one stays in its own variate.
 */
export class ControlStore {
  readonly #files: RunFiles;
  readonly #blobs: BlobStore;

  /** @param blobs where changes are put, to be sent. */
  constructor(directory: string, clientId: string, blobs: BlobStore) {
    this.#files = new RunFiles(directory, clientId);
    this.#blobs = blobs;
  }

  /** Opens c_k, and removes what no task can ask for any more: other runs' files, and those of earlier rounds. */
  async open(position: ControlPosition, specs: readonly TensorSpec[]): Promise<OpenControl> {
    const { file, lost } = await this.#files.open(filesOf(position), specs);
    return { variate: file, ...(lost !== undefined && { lost }) };
  }

  /**
   * Keeps c_k⁺ for when the server counts its change.
   *
   * @returns the change, `c_k⁺ − c_k`, to be sent.
   */
  async save(position: ControlPosition, variate: TensorSource | null, next: TensorSource): Promise<BlobReference> {
    const at = filesOf(position);
    const path = this.#files.scratch(at, 'change');
    const written = await writeTensors(path, scaffoldChange(next, variate), { durable: false });
    const change = await this.#blobs.putFile(path, written);
    await rm(path);
    await this.#files.name(at, await this.#files.write(at, next), change.hash);
    return change;
  }

  /** Forgets everything: a run without control variates has begun. */
  clear(): Promise<void> {
    return this.#files.clear();
  }
}

function filesOf({ runId, round, last }: ControlPosition): RunPosition {
  return { runId, round, last: last === null ? null : { sent: last } };
}

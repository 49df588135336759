import type { TensorSource, TensorSpec } from '@zk0/core';
import type { SafetensorsFile } from '@zk0/storage';
import { namedByUpdate, RunFiles, type UpdatePosition } from './run-files.ts';

/** What is left over of the updates before. */
export interface OpenResidual {
  /** `null` for zeros. */
  readonly residual: SafetensorsFile | null;
  /** Why it is zero although the server counted an update. */
  readonly lost?: string;
}

/**
 * What rounding left over of a client's updates, on disk from round to round of one run, to be added to the next update: {@link RunFiles}
 * named by the update that is sent. What is lost begins with zero: what was left over until then, less than a step of each value, is never
 * sent.
 */
export class ResidualStore {
  readonly #files: RunFiles;

  constructor(directory: string, clientId: string) {
    this.#files = new RunFiles(directory, clientId);
  }

  /** Opens the residual that holds, and removes what no task can ask for any more: other runs' files, and those of earlier rounds. */
  async open(position: UpdatePosition, specs: readonly TensorSpec[]): Promise<OpenResidual> {
    const { file, lost } = await this.#files.open(namedByUpdate(position), specs);
    return { residual: file, ...(lost !== undefined && { lost }) };
  }

  /** Keeps what an update left over, for when the server counts it. Call it before the update is sent. */
  async save(position: UpdatePosition, update: string, residual: TensorSource): Promise<void> {
    const files = namedByUpdate(position);
    await this.#files.name(files, await this.#files.write(files, residual), update);
  }

  /** Forgets everything: a run whose updates are not rounded has begun. */
  clear(): Promise<void> {
    return this.#files.clear();
  }
}

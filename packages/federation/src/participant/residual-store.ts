import type { TensorSource, TensorSpec } from '@zk0/core';
import type { SafetensorsFile } from '@zk0/storage';
import { RunFiles, type RunPosition } from './run-files.ts';

/** Which residual a task is about. In another run it means nothing. */
export interface ResidualPosition {
  readonly runId: string;
  readonly round: number;
  /** The last update of this client that the server counted, which names what it left over; `null`: none yet, nothing is left over. */
  readonly last: { readonly round: number; readonly update: string } | null;
}

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
  async open(position: ResidualPosition, specs: readonly TensorSpec[]): Promise<OpenResidual> {
    const { file, lost } = await this.#files.open(filesOf(position), specs);
    return { residual: file, ...(lost !== undefined && { lost }) };
  }

  /** Keeps what an update left over, for when the server counts it. Call it before the update is sent. */
  async save(position: ResidualPosition, update: string, residual: TensorSource): Promise<void> {
    const files = filesOf(position);
    await this.#files.name(files, await this.#files.write(files, residual), update);
  }

  /** Forgets everything: a run whose updates are not rounded has begun. */
  clear(): Promise<void> {
    return this.#files.clear();
  }
}

function filesOf({ runId, round, last }: ResidualPosition): RunPosition {
  return { runId, round, last: last === null ? null : { round: last.round, sent: last.update } };
}

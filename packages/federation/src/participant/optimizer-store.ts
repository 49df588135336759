import { momentSpecs, type OptimizerState, type TensorSpec } from '@zk0/core';
import type { SafetensorsFile } from '@zk0/storage';
import { namedByUpdate, RunFiles, type UnnamedFile, type UpdatePosition } from './run-files.ts';

/** A client's optimiser at the beginning of a round. */
export interface OpenOptimizer {
  /** Its moments are an open file; `null`: zeros. */
  readonly state: (OptimizerState & { readonly moments: SafetensorsFile }) | null;
  /** Why moments are zero although the server counted an update. */
  readonly lost?: string;
}

/** How many steps moments are of stands in their file's metadata. */
const STEPS = 'steps';

/**
 * An optimiser's moments on disk, under `directory`, from round to round of one run: {@link RunFiles} named by the update that is sent.
 * The moments of an update that did not count are not used; those that are lost begin anew with zero.
 */
export class OptimizerStore {
  readonly #files: RunFiles;

  constructor(directory: string, clientId: string) {
    this.#files = new RunFiles(directory, clientId);
  }

  /**
   * Opens the moments, and removes what no task can ask for any more: other runs' files, and those of earlier rounds.
   *
   * @param parameters the specs of what is trained.
   */
  async open(position: UpdatePosition, parameters: readonly TensorSpec[]): Promise<OpenOptimizer> {
    const { file, lost } = await this.#files.open(namedByUpdate(position), momentSpecs(parameters));
    if (file === null) return { state: null, ...(lost !== undefined && { lost }) };
    const stepsTaken = Number(file.metadata[STEPS] ?? NaN);
    if (Number.isSafeInteger(stepsTaken) && stepsTaken >= 0) return { state: { stepsTaken, moments: file } };
    await file.close();
    return { state: null, lost: `${file.path} does not say how many steps its moments are of` };
  }

  /** Writes moments to disk. Until {@link name} has been called for them, no task finds them. */
  write(position: UpdatePosition, { stepsTaken, moments }: OptimizerState): Promise<UnnamedFile> {
    return this.#files.write(namedByUpdate(position), moments, { [STEPS]: String(stepsTaken) });
  }

  /** Keeps moments for when the server counts their update. */
  name(position: UpdatePosition, moments: UnnamedFile, update: string): Promise<void> {
    return this.#files.name(namedByUpdate(position), moments, update);
  }

  /** Forgets everything: a run whose optimisers begin anew in every round has begun. */
  clear(): Promise<void> {
    return this.#files.clear();
  }
}

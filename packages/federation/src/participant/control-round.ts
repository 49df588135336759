import { MemoryTensorSource, type BlobReference, type Parameters, type TensorSource } from '@zk0/core';
import { openSafetensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';
import { scaffoldCorrection, serverControl } from '@zk0/strategy';
import type { FederationLog } from '../log.ts';
import type { FitTask } from '../run/instructions.ts';
import type { FederationConnection } from './connection.ts';
import { fetchBlob } from './fetch-blob.ts';
import type { ControlPosition, ControlStore } from './control-store.ts';

/** What a client's control variates need of it. */
export interface ControlRoundOptions {
  readonly connection: FederationConnection;
  readonly blobs: BlobStore;
  readonly controls: ControlStore;
  readonly log: FederationLog;
}

/** SCAFFOLD's part of one round: what corrects the gradients before it, what is sent after it. */
export class ControlRound {
  /** `c − c_k`, read from both files as it is asked for. */
  readonly correction: TensorSource;
  readonly #controls: ControlStore;
  readonly #position: ControlPosition;
  readonly #server: SafetensorsFile | null;
  readonly #client: SafetensorsFile | null;

  private constructor(
    controls: ControlStore,
    position: ControlPosition,
    { server, client, correction }: { readonly server: SafetensorsFile | null; readonly client: SafetensorsFile | null; readonly correction: TensorSource },
  ) {
    this.#controls = controls;
    this.#position = position;
    this.#server = server;
    this.#client = client;
    this.correction = correction;
  }

  /**
   * Downloads c and opens c_k; a run without control variates has none, and what was kept of others is removed.
   *
   * @throws Zk0Error naming a tensor of c that is not one of the parameters.
   */
  static async open(
    runId: string,
    { fit, control }: FitTask,
    global: Parameters,
    { connection, blobs, controls, log }: ControlRoundOptions,
    signal: AbortSignal,
  ): Promise<ControlRound | null> {
    if (control === undefined) {
      await controls.clear();
      return null;
    }
    const { round } = fit;
    const { specs } = MemoryTensorSource.fromParameters(global);
    const position = { runId, round, last: control.last };
    const serverFile = control.server === null ? null : await fetchBlob(control.server, { connection, blobs }, { signal });
    const { variate, lost } = await controls.open(position, specs);
    if (lost !== undefined) log.warn(`the control variate of this client is lost (${lost}): it begins with zero`, { round });
    let server: SafetensorsFile | null = null;
    try {
      server = serverFile === null ? null : await openSafetensors(serverFile);
      const variates = { server: server === null ? null : serverControl(server), client: variate };
      return new ControlRound(controls, position, { server, client: variate, correction: scaffoldCorrection(variates, specs) });
    } catch (error) {
      await server?.close();
      await variate?.close();
      throw error;
    }
  }

  /** Keeps c_k⁺ and returns the change to be sent. */
  save(meanGradient: Parameters): Promise<BlobReference> {
    return this.#controls.save(this.#position, this.#client, MemoryTensorSource.fromParameters(meanGradient));
  }

  async close(): Promise<void> {
    await this.#server?.close();
    await this.#client?.close();
  }
}

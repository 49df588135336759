import { InvalidArgumentError } from '@zk0/core';
import { availableParallelism } from 'node:os';
import { SessionError } from '../errors.ts';
import type { OnnxModel } from '../graph/encode-model.ts';
import type { ValueType } from '../graph/value.ts';
import { requireKnown, type Device } from './devices.ts';
import { OrtSession } from './ort-session.ts';
import { checkTensor, type Tensor, type Tensors } from './tensor.ts';

/** How a model is run. */
export interface SessionOptions {
  /** @default 'cpu' */
  readonly device?: Device;
  /**
   * Threads that one operator may use. Results repeat to the bit for one number of threads.
   * @default the machine's processors
   */
  readonly threads?: number;
  /** Settings of onnxruntime by their full key, for example `session.disable_prepacking`. */
  readonly config?: Readonly<Record<string, string>>;
}

/** What one run should do. */
export interface RunOptions {
  /** Outputs to compute; all by default. */
  readonly outputs?: readonly string[];
  /**
   * Memory that outputs are written into, by name; it must be shared (`sharedTensor`). The tensors come back as the
   * results. Reusing it spares an allocation and a copy per run.
   */
  readonly into?: Tensors;
}

/** A model that is ready to run. */
export interface Session {
  readonly device: Device;
  readonly inputs: ReadonlyMap<string, ValueType>;
  readonly outputs: ReadonlyMap<string, ValueType>;
  /**
   * Runs the model once; runs on one session queue up.
   *
   * @throws SessionError `RUN_FAILED` for feeds that do not fit, or when onnxruntime fails; `SESSION_CLOSED`.
   */
  run(feeds: Tensors, options?: RunOptions): Promise<Record<string, Tensor>>;
  /** Frees the model. A run in progress is waited for. Idempotent. */
  close(): Promise<void>;
}

/**
 * Loads a model into onnxruntime.
 *
 * @throws SessionError `DEVICE_UNAVAILABLE` at once when the device is not there; `MODEL_REJECTED`.
 */
export async function createSession(model: OnnxModel, options: SessionOptions = {}): Promise<Session> {
  const { device = 'cpu', threads = availableParallelism(), config = {} } = options;
  if (!Number.isInteger(threads) || threads < 1) throw new InvalidArgumentError(`a session of ${threads} threads`);
  requireKnown(device);
  const { externalDirectory } = model;
  const session = await OrtSession.create(model.bytes, { device, threads, externalDirectory, config });
  let closed = false;
  return {
    device,
    inputs: model.inputs,
    outputs: model.outputs,
    run: async (feeds, { outputs = [...model.outputs.keys()], into = {} } = {}) => {
      if (closed) throw new SessionError('SESSION_CLOSED', 'the session is closed');
      for (const name of Object.keys(feeds)) {
        if (!model.inputs.has(name)) throw new SessionError('RUN_FAILED', `the model has no input ${name}`);
      }
      for (const [name, type] of model.inputs) {
        const tensor = feeds[name];
        if (tensor === undefined) throw new SessionError('RUN_FAILED', `input ${name} is not fed`);
        checkTensor(`input ${name}`, tensor, type);
      }
      return session.run(feeds, outputs, into);
    },
    close: async () => {
      if (closed) return;
      closed = true;
      await session.release();
    },
  };
}

import { InvalidArgumentError } from '@zk0/core/errors';
import { availableParallelism } from 'node:os';
import { SessionError } from '../errors.ts';
import type { OnnxModel } from '../graph/encode-model.ts';
import type { ValueType } from '../graph/value.ts';
import { requireDevice, type Device } from './devices.ts';
import { resolveDevice } from './resolve-device.ts';
import { checkTensor, type Tensor, type Tensors } from './tensor.ts';
import { WorkerClient } from './worker-client.ts';

/** How a model is run. */
export interface SessionOptions {
  /**
   * `auto` takes the first of cuda, webgpu and cpu that starts on this machine; the session says which.
   * @default 'cpu'
   */
  readonly device?: Device | 'auto';
  /**
   * Processor threads that the session may use. Several processes on one machine should share its processors out.
   * Results repeat to the bit for one number of threads.
   * @default the machine's processors
   */
  readonly threads?: number;
  /** Settings of onnxruntime by their full key, for example `session.disable_prepacking`. */
  readonly config?: Readonly<Record<string, string>>;
  /**
   * Inputs that stay with the session from run to run, each with the output that takes its place after a run, or `null`
   * where it stays as it is: weights that are only read, or weights and moments that a step renews. They lie in the
   * device's memory where onnxruntime-node can keep them there (WebGPU), else in the processor's. `setState` gives them
   * their values.
   */
  readonly state?: Readonly<Record<string, string | null>>;
  /** Float32 outputs that must be finite for a run to renew the state; otherwise it stays as it was. None by default. */
  readonly guards?: readonly string[];
}

/** What one run should do. */
export interface RunOptions {
  /** Outputs to compute; all by default. */
  readonly outputs?: readonly string[];
  /**
   * Memory that outputs are written into, by name; it must be shared memory (`sharedTensor`). These tensors come back as
   * the results. Reusing them spares an allocation and a copy per run.
   */
  readonly into?: Tensors;
  /**
   * Aborting rejects with CancelledError at once. onnxruntime cannot be interrupted: a run that has begun ends in the
   * background (and may still write to `into`); the next run waits for it.
   */
  readonly signal?: AbortSignal;
}

/** A model that is ready to run, in a thread of its own. */
export interface Session {
  readonly device: Device;
  /** Types of the inputs; a size of −1 is left open by the model. */
  readonly inputs: ReadonlyMap<string, ValueType>;
  readonly outputs: ReadonlyMap<string, ValueType>;
  /**
   * Runs the model once; runs on one session queue up. Feeds in shared memory are read in place and must not change
   * until the run ends; others are copied. Results are new memory unless `into` says otherwise.
   *
   * @throws SessionError `RUN_FAILED` for feeds that do not fit, or when onnxruntime fails; `SESSION_CLOSED`;
   * `WORKER_CRASHED`.
   * @throws CancelledError when aborted.
   */
  run(feeds: Tensors, options?: RunOptions): Promise<Record<string, Tensor>>;
  /** Gives inputs of the session's state their values, in its own memory. Queues up with the runs. */
  setState(tensors: Tensors): Promise<void>;
  /** Copies of the state as the last run left it; all of it by default. */
  getState(names?: readonly string[]): Promise<Record<string, Tensor>>;
  /** Frees the model and ends its thread. A run in progress is waited for, queued ones are rejected. Idempotent. */
  close(): Promise<void>;
}

/**
 * Loads a model into onnxruntime, in a worker thread.
 *
 * @param model a model of this package, or an ONNX file's content or path.
 * @throws SessionError `DEVICE_UNAVAILABLE` at once when the device is not there; `MODEL_REJECTED`; `WORKER_CRASHED`.
 */
export async function createSession(
  model: OnnxModel | Uint8Array | string,
  options: SessionOptions = {},
): Promise<Session> {
  const { device: wanted = 'cpu', threads = availableParallelism(), config = {}, state = {}, guards = [] } = options;
  if (!Number.isInteger(threads) || threads < 1) throw new InvalidArgumentError(`a session of ${threads} threads`);
  const device = wanted === 'auto' ? (await resolveDevice()).device : wanted;
  requireDevice(device);
  const isPlain = typeof model === 'string' || model instanceof Uint8Array;
  const client = await WorkerClient.start(isPlain ? model : model.bytes, {
    device,
    threads,
    config,
    state,
    guards,
    externalDirectory: isPlain ? undefined : model.externalDirectory,
  });
  const { inputs, outputs } = client;
  const fed = new Map([...inputs].filter(([name]) => !Object.hasOwn(state, name)));
  const fetched = [...outputs.keys()].filter((name) => !Object.values(state).includes(name));
  return {
    device,
    inputs,
    outputs,
    run: async (feeds, { outputs: wantedOutputs = fetched, into = {}, signal } = {}) => {
      checkFeeds(fed, feeds);
      checkOutputs(outputs, wantedOutputs, into);
      const results = await client.run({ kind: 'run', feeds, outputs: wantedOutputs, into }, signal);
      return Object.fromEntries(wantedOutputs.map((name) => [name, into[name] ?? results[name]!]));
    },
    setState: async (tensors) => {
      await client.run({ kind: 'setState', tensors }, undefined);
    },
    getState: async (names = Object.keys(state)) => ({ ...(await client.run({ kind: 'getState', names }, undefined)) }),
    close: () => client.close(),
  };
}

function checkFeeds(inputs: ReadonlyMap<string, ValueType>, feeds: Tensors): void {
  for (const name of Object.keys(feeds)) {
    if (!inputs.has(name)) throw new SessionError('RUN_FAILED', `the model has no input ${name}`);
  }
  for (const [name, type] of inputs) {
    const tensor = feeds[name];
    if (tensor === undefined) throw new SessionError('RUN_FAILED', `input ${name} is not fed`);
    checkTensor(`input ${name}`, tensor, type);
  }
}

function checkOutputs(outputs: ReadonlyMap<string, ValueType>, wanted: readonly string[], into: Tensors): void {
  for (const name of [...wanted, ...Object.keys(into)]) {
    if (!outputs.has(name)) throw new SessionError('RUN_FAILED', `the model has no output ${name}`);
  }
  for (const [name, tensor] of Object.entries(into)) {
    checkTensor(`output ${name}`, tensor, outputs.get(name)!);
    if (!(tensor.data.buffer instanceof SharedArrayBuffer)) {
      throw new SessionError('RUN_FAILED', `memory for output ${name} is not shared`, {
        hint: 'Allocate it with sharedTensor.',
      });
    }
  }
}

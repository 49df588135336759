import { errorMessage } from '@zk0/core/errors';
import type * as Ort from 'onnxruntime-node';
import { preloadCudaLibraries, providerFailure } from '../cuda/load.ts';
import { CudaError, SessionError } from '../errors.ts';
import type { DataType } from '../graph/data-type.ts';
import type { ValueType } from '../graph/value.ts';
import { deviceHint, type Device } from './devices.ts';
import { isOutOfMemory } from './memory-errors.ts';
import { ort } from './ort.ts';
import { fromOrt, toOrt } from './ort-tensor.ts';
import { ResidentState, type StateMap } from './resident-state.ts';
import type { Tensor, Tensors } from './tensor.ts';

/** What {@link OrtSession} is made of. */
export interface OrtSessionOptions {
  readonly device: Device;
  readonly threads: number;
  /** Where external data of a model given as bytes lie. */
  readonly externalDirectory: string | undefined;
  /** Settings of onnxruntime by their full key, for example `session.disable_prepacking`. */
  readonly config: Readonly<Record<string, string>>;
  /** Inputs that stay with the session from run to run. */
  readonly state: StateMap;
  /** Outputs that must be finite for a run to renew them. */
  readonly guards: readonly string[];
}

/** onnxruntime's session behind this package's tensors and errors. Blocks its thread while it runs. */
export class OrtSession {
  readonly inputs: ReadonlyMap<string, ValueType>;
  readonly outputs: ReadonlyMap<string, ValueType>;
  readonly #session: Ort.InferenceSession;
  readonly #state: ResidentState;
  readonly #guards: readonly string[];
  readonly #device: Device;

  private constructor(
    session: Ort.InferenceSession,
    { device, state, guards }: OrtSessionOptions,
    settings: Ort.InferenceSession.SessionOptions,
  ) {
    this.#session = session;
    this.inputs = describe(session.inputMetadata);
    this.outputs = describe(session.outputMetadata);
    this.#guards = guards;
    this.#device = device;
    this.#state = new ResidentState(state, this.inputs, locationOn(device), settings);
  }

  static async create(model: string | Uint8Array, options: OrtSessionOptions): Promise<OrtSession> {
    const { device, threads, externalDirectory, config, state } = options;
    const entries = { ...config };
    const carried = Object.values(state).filter((output) => output !== null);
    if (externalDirectory !== undefined) {
      entries['session.model_external_initializers_file_folder_path'] = externalDirectory;
    }
    const settings: Ort.InferenceSession.SessionOptions = {
      executionProviders: [device],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      // The arena grows by powers of two and keeps what it has: a third more memory at a run's peak, for no time.
      enableCpuMemArena: false,
      // On the processor one block for everything that a run computes is larger than what is alive at any time, and its pages are new in every
      // run: without it a training step takes half of the memory and a tenth to a quarter less time (README, "Measured").
      enableMemPattern: device !== 'cpu',
      // onnxruntime writes warnings to stderr by itself; errors are thrown as well.
      logSeverityLevel: 4,
      extra: entries,
      ...(locationOn(device) !== 'cpu' && {
        preferredOutputLocation: Object.fromEntries(carried.map((output) => [output, locationOn(device)])),
      }),
    };
    try {
      if (device === 'cuda') preloadCudaLibraries();
      // The binding takes the whole buffer behind a view, so both overloads are the same to it.
      const session =
        typeof model === 'string'
          ? await ort.InferenceSession.create(model, settings)
          : await ort.InferenceSession.create(model, settings);
      return new OrtSession(session, options, settings);
    } catch (error) {
      const message = errorMessage(error);
      const ofCuda = device === 'cuda' ? cudaErrorOf(error) : undefined;
      if (ofCuda !== undefined) {
        throw new SessionError('DEVICE_UNAVAILABLE', `device ${device} cannot be used: ${ofCuda.message}`, { hint: ofCuda.hint ?? deviceHint(device), cause: error });
      }
      if (isOutOfMemory(message)) throw outOfMemory(device, `the model does not fit: ${reasonIn(message)}`, error);
      if (device !== 'cpu' && isDeviceFailure(message)) {
        throw new SessionError('DEVICE_UNAVAILABLE', `device ${device} cannot be used: ${reasonIn(message)}`, {
          hint: cudaFailureHint(message) ?? deviceHint(device),
          cause: error,
        });
      }
      throw new SessionError('MODEL_REJECTED', `onnxruntime refused the model: ${message}`, { cause: error });
    }
  }

  setState(tensors: Tensors): Promise<void> {
    return this.#failing('the state could not be set', () => this.#state.load(tensors));
  }

  getState(names: readonly string[]): Promise<Record<string, Tensor>> {
    return this.#failing('the state could not be read', () => this.#state.read(names));
  }

  /**
   * Runs the model from the state, and replaces the state.
   *
   * @param into outputs whose memory is given; the others get new memory and are returned.
   */
  async run(
    feeds: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
    into: Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>> {
    const inputs = {
      ...this.#state.feeds(),
      ...Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)])),
    };
    const fetches = Object.fromEntries(
      [...this.#state.outputs, ...this.#guards, ...outputs].map((name) => [name, Object.hasOwn(into, name) ? toOrt(into[name]!) : null]),
    );
    return this.#failing('the run failed', async () => {
      const results = await this.#session.run(inputs, fetches);
      const isGood = this.#guards.every((name) => (fromOrt(results[name]!).data as Float32Array).every(Number.isFinite));
      this.#state.take(results, isGood);
      for (const name of outputs) if (Object.hasOwn(into, name)) disown(results[name]!, into[name]!);
      const fresh = outputs.filter((name) => !Object.hasOwn(into, name));
      return Object.fromEntries(fresh.map((name) => [name, fromOrt(results[name]!)]));
    });
  }

  async release(): Promise<void> {
    await this.#state.release();
    await this.#session.release();
  }

  async #failing<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SessionError) throw error;
      const message = errorMessage(error);
      if (isOutOfMemory(message)) throw outOfMemory(this.#device, `${what}: ${reasonIn(message)}`, error);
      const hint = cudaFailureHint(message);
      throw new SessionError('RUN_FAILED', `${what}: ${message}`, { cause: error, ...(hint !== undefined && { hint }) });
    }
  }
}

/**
 * onnxruntime wraps memory that it was given in a buffer of its own, which V8 counts as allocated: a training step that writes gradients
 * into the same memory again and again would be followed by garbage collections that find nothing.
 */
function disown({ data }: Ort.Tensor, given: Tensor): void {
  const { buffer } = data as Float32Array;
  if (buffer instanceof ArrayBuffer && buffer !== given.data.buffer) buffer.transfer(0);
}

/** Where a provider can keep tensors between runs; onnxruntime-node binds none of CUDA's memory. */
function locationOn(device: Device): 'gpu-buffer' | 'cpu' {
  return device === 'webgpu' ? 'gpu-buffer' : 'cpu';
}

function outOfMemory(device: Device, what: string, cause: unknown): SessionError {
  return new SessionError('OUT_OF_MEMORY', `the memory of device ${device} does not suffice: ${what}`, {
    hint: device === 'cuda' ? 'End what else uses it (`nvidia-smi` lists that), or use a smaller batch.' : 'End what else uses it, or use a smaller batch.',
    cause,
  });
}

/** Types of inputs or outputs; a size that the model leaves open is −1. */
function describe(metadata: readonly Ort.InferenceSession.ValueMetadata[]): Map<string, ValueType> {
  return new Map(
    metadata.map((value) => {
      if (!value.isTensor) throw new SessionError('MODEL_REJECTED', `${value.name} is not a tensor`);
      const shape = value.shape.map((size) => (typeof size === 'number' ? size : -1));
      return [value.name, { dtype: value.type as DataType, shape }];
    }),
  );
}

/** Words with which onnxruntime says that a provider is missing rather than that the model is wrong. */
function isDeviceFailure(message: string): boolean {
  return /not available|backend not found|provider|shared library|\.so\b|\.dll\b|adapter|device|driver/i.test(message);
}

/** Of CUDA's libraries: what we found ourselves, or what onnxruntime does not tell of a provider that it could not load. */
function cudaErrorOf(error: unknown): CudaError | undefined {
  if (error instanceof CudaError) return error;
  return /load shared library/i.test(errorMessage(error)) ? providerFailure() : undefined;
}

/** What went wrong, without the place in onnxruntime's sources and the condition that did not hold. */
function reasonIn(message: string): string {
  const [ofCuda] = CUDA_FAILURE.exec(message) ?? [];
  return ofCuda ?? message.replace(/^.*\bwas false\.\s*(?=\S)/s, '');
}

const CUDA_FAILURE = /CUDA failure (\d+): [^;\n]*[^;\s]/;

/** What to do about a failure of CUDA's own, by its number (`cudaError` in CUDA's run-time API). */
function cudaFailureHint(message: string): string | undefined {
  switch (CUDA_FAILURE.exec(message)?.[1]) {
    case '35':
      return 'Install a newer NVIDIA driver: CUDA 13 needs 580 or newer, CUDA 12 needs 525. `nvidia-smi` shows the installed one.';
    case '100':
      return 'The driver sees no GPU: `nvidia-smi` should list one, and CUDA_VISIBLE_DEVICES must not hide it. Or use --device cpu.';
    case undefined:
      return undefined;
    default:
      return 'See what `nvidia-smi` says, and start this program again: CUDA does not recover within one. After a change of the driver, restart the machine.';
  }
}

import './no-telemetry.ts';
import { errorMessage } from '@zk0/core';
import * as ort from 'onnxruntime-node';
import { SessionError } from '../errors.ts';
import type { DataType } from '../graph/data-type.ts';
import type { ValueType } from '../graph/value.ts';
import { deviceHint, type Device } from './devices.ts';
import { ARRAY_TYPES, type Tensor, type TensorType } from './tensor.ts';

/** What {@link OrtSession} is made of. */
export interface OrtSessionOptions {
  readonly device: Device;
  readonly threads: number;
  /** Where external data of a model given as bytes lie. */
  readonly externalDirectory: string | undefined;
  /** Settings of onnxruntime by their full key, for example `session.disable_prepacking`. */
  readonly config: Readonly<Record<string, string>>;
}

/** onnxruntime's session behind this package's tensors and errors. Blocks its thread while it runs. */
export class OrtSession {
  readonly inputs: ReadonlyMap<string, ValueType>;
  readonly outputs: ReadonlyMap<string, ValueType>;
  readonly #session: ort.InferenceSession;

  private constructor(session: ort.InferenceSession) {
    this.#session = session;
    this.inputs = describe(session.inputMetadata);
    this.outputs = describe(session.outputMetadata);
  }

  static async create(model: string | Uint8Array, options: OrtSessionOptions): Promise<OrtSession> {
    const { device, threads, externalDirectory, config } = options;
    const entries = { ...config };
    if (externalDirectory !== undefined) {
      entries['session.model_external_initializers_file_folder_path'] = externalDirectory;
    }
    const settings: ort.InferenceSession.SessionOptions = {
      executionProviders: [device],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      // onnxruntime writes warnings to stderr by itself; errors are thrown as well.
      logSeverityLevel: 4,
      extra: entries,
    };
    try {
      // The binding takes the whole buffer behind a view, so both overloads are the same to it.
      const session =
        typeof model === 'string'
          ? await ort.InferenceSession.create(model, settings)
          : await ort.InferenceSession.create(model, settings);
      return new OrtSession(session);
    } catch (error) {
      const message = errorMessage(error);
      if (device !== 'cpu' && isDeviceFailure(message)) {
        throw new SessionError('DEVICE_UNAVAILABLE', `device ${device} cannot be used: ${message}`, {
          hint: deviceHint(device),
          cause: error,
        });
      }
      throw new SessionError('MODEL_REJECTED', `onnxruntime refused the model: ${message}`, { cause: error });
    }
  }

  /**
   * Runs the model.
   *
   * @param into outputs whose memory is given; the others get new memory and are returned.
   */
  async run(
    feeds: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
    into: Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>> {
    const inputs = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)]));
    const fetches = Object.fromEntries(
      outputs.map((name) => [name, Object.hasOwn(into, name) ? toOrt(into[name]!) : null]),
    );
    try {
      const results = await this.#session.run(inputs, fetches);
      const fresh = outputs.filter((name) => !Object.hasOwn(into, name));
      return Object.fromEntries(fresh.map((name) => [name, fromOrt(results[name]!)]));
    } catch (error) {
      throw new SessionError('RUN_FAILED', `the run failed: ${errorMessage(error)}`, { cause: error });
    }
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** Types of inputs or outputs; a size that the model leaves open is −1. */
function describe(metadata: readonly ort.InferenceSession.ValueMetadata[]): Map<string, ValueType> {
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

function toOrt({ dtype, shape, data }: Tensor): ort.Tensor {
  if (dtype === 'float16') {
    // onnxruntime's Tensor wraps float16 in the platform's Float16Array, which its binding then reads as empty; as bits
    // under the right name they arrive.
    return Object.assign(new ort.Tensor('uint16', data, shape), { type: 'float16' as const });
  }
  return new ort.Tensor(dtype as 'float32', data as Float32Array, shape);
}

function fromOrt(tensor: ort.Tensor): Tensor {
  const dtype = tensor.type as TensorType;
  const { buffer, byteOffset, length } = tensor.data as Float32Array;
  return { dtype, shape: tensor.dims, data: new ARRAY_TYPES[dtype](buffer as ArrayBuffer, byteOffset, length) } as Tensor;
}

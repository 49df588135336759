import {
  copyBytes,
  FIRST_MOMENT,
  InvalidArgumentError,
  momentSpecs,
  SECOND_MOMENT,
  type OptimizerState,
  type TensorSource,
  type TensorSpec,
} from '@zk0/core';
import { PolicyError } from '../errors.ts';
import { allFinite } from '../model/finite.ts';

/** Of a gradient: its running mean, or that of its square. */
export type Moment = 'first' | 'second';

const PREFIXES = { first: FIRST_MOMENT, second: SECOND_MOMENT } as const satisfies Record<Moment, string>;
const MOMENTS: readonly Moment[] = ['first', 'second'];

/**
 * Reads an optimiser's moments, one tensor after the other.
 *
 * @param put is called for each of them, and reads it into memory of its size with `read`.
 * @throws InvalidArgumentError for a number of steps that is none; PolicyError POLICY_TENSORS_MISMATCH where the tensors are not the
 *   moments of `parameters`, NOT_FINITE naming the first that has NaN or infinity in it.
 */
export async function readMoments(
  { stepsTaken, moments }: OptimizerState,
  parameters: readonly TensorSpec[],
  put: (moment: Moment, parameter: TensorSpec, read: (into: Float32Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  if (!Number.isSafeInteger(stepsTaken) || stepsTaken < 0) throw new InvalidArgumentError(`an optimiser's state after ${stepsTaken} steps`);
  if (JSON.stringify(moments.specs) !== JSON.stringify(momentSpecs(parameters))) {
    throw new PolicyError('POLICY_TENSORS_MISMATCH', 'the optimiser’s state is not that of these trained weights', {
      hint: 'Go on from moments of the same policy, or begin anew.',
    });
  }
  for (const moment of MOMENTS) {
    for (const parameter of parameters) {
      const name = `${PREFIXES[moment]}${parameter.name}`;
      await put(moment, parameter, async (into) => {
        await moments.readBytes(name, 0, bytesOf(into));
        if (!allFinite(into)) throw new PolicyError('NOT_FINITE', `the optimiser’s state: ${name} is not finite`);
      });
    }
  }
}

/** Moments where they lie, as an `OptimizerState` has them. Each is asked for when it is read; the one that was last is at hand. */
export class MomentSource implements TensorSource {
  readonly specs: readonly TensorSpec[];
  readonly #arrayOf: (moment: Moment, parameter: string) => Float32Array | Promise<Float32Array>;
  readonly #names: ReadonlyMap<string, readonly [Moment, string]>;
  #last: { readonly name: string; readonly bytes: Uint8Array } | undefined;

  constructor(parameters: readonly TensorSpec[], arrayOf: (moment: Moment, parameter: string) => Float32Array | Promise<Float32Array>) {
    this.specs = momentSpecs(parameters);
    this.#arrayOf = arrayOf;
    this.#names = new Map(MOMENTS.flatMap((moment) => parameters.map(({ name }) => [`${PREFIXES[moment]}${name}`, [moment, name]] as const)));
  }

  async readBytes(name: string, byteOffset: number, into: Uint8Array): Promise<void> {
    const [moment, parameter] = this.#names.get(name) ?? [];
    if (moment === undefined || parameter === undefined) throw new InvalidArgumentError(`no tensor named ${name}`);
    if (this.#last?.name !== name) this.#last = { name, bytes: bytesOf(await this.#arrayOf(moment, parameter)) };
    const { bytes } = this.#last;
    const end = byteOffset + into.byteLength;
    if (byteOffset < 0 || end > bytes.byteLength) throw new InvalidArgumentError(`tensor ${name}: bytes ${byteOffset}…${end} of ${bytes.byteLength}`);
    copyBytes(bytes, byteOffset, end, into, 0);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

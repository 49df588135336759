import { InvalidArgumentError, MemoryTensorSink, MemoryTensorSource, type Float32Tensor, type Metrics, type Parameters } from '@zk0/core';
import type { AggregationInput, AggregationOptions, AggregationResult, Scalars, Strategy } from './contract.ts';

/** One client's result as arrays. */
export interface ParametersUpdate {
  readonly clientId: string;
  readonly parameters: Parameters;
  readonly numExamples: number;
  readonly maxExamples?: number;
  readonly metrics?: Metrics;
  readonly staleness?: number;
  readonly localSteps?: number;
  readonly base?: Parameters;
  readonly control?: Parameters;
}

/** What {@link aggregateParameters} works on. */
export interface ParametersInput {
  readonly global: Parameters;
  readonly updates: readonly ParametersUpdate[];
  /** From 1 (default). */
  readonly round?: number;
  readonly state?: Parameters | null;
  readonly scalars?: Scalars;
  readonly seed?: string | number;
  /** As {@link AggregationInput.noiseSecret}. */
  readonly noiseSecret?: Uint8Array;
  readonly failures?: number;
  readonly population?: number;
}

/** As {@link AggregationOptions}, on arrays. */
export interface ParametersOptions extends AggregationOptions {
  /**
   * Parameters that nobody needs any more, of an earlier round: the new ones are written into their memory. That spares the operating
   * system handing out a model's worth of fresh pages.
   */
  readonly into?: Parameters;
}

/** What came out. */
export interface ParametersResult extends AggregationResult {
  readonly parameters: Parameters;
  /** Hand it to the next round; `null` when the strategy keeps none. */
  readonly state: Parameters | null;
}

/**
 * {@link Strategy.aggregate} on arrays, for notebooks and tests: the same code underneath, hence the same bits. Worker threads read
 * arrays in `SharedArrayBuffer`s themselves; means of others are computed on the calling thread alone, and what takes longer on both.
 * With threads, results are in `SharedArrayBuffer`s, unless `into` says where.
 *
 * @throws AggregationError when the round cannot count.
 * @throws InvalidArgumentError when `into` does not fit the parameters, or is read from in this round.
 */
export async function aggregateParameters(
  strategy: Strategy,
  input: ParametersInput,
  { into, ...options }: ParametersOptions = {},
): Promise<ParametersResult> {
  const given = aggregationInput(input);
  const { global } = given;
  const stateSpecs = strategy.stateSpecs(global.specs);
  // Worker threads leave their results where they belong.
  const shared = (options.workers ?? 0) !== 0;
  const parametersSink = new MemoryTensorSink(global.specs, into === undefined ? { shared } : { into: memoryOf(into, input) });
  const stateSink = stateSpecs.length === 0 ? null : new MemoryTensorSink(stateSpecs, { shared });
  const result = await strategy.aggregate(
    given,
    { parameters: parametersSink, state: stateSink },
    options,
  );
  return {
    ...result,
    parameters: takeParameters(parametersSink.finish()),
    state: stateSink === null ? null : takeParameters(stateSink.finish()),
  };
}

/** Arrays as strategies read them. */
export function aggregationInput(input: ParametersInput): AggregationInput {
  const { round = 1, state = null, scalars = {}, seed = 0, failures = 0 } = input;
  return {
    round,
    global: MemoryTensorSource.fromParameters(input.global),
    updates: input.updates.map(({ clientId, parameters, numExamples, maxExamples, metrics = {}, staleness, localSteps, base, control }) => ({
      clientId,
      numExamples,
      metrics,
      tensors: MemoryTensorSource.fromParameters(parameters),
      ...(maxExamples === undefined ? {} : { maxExamples }),
      ...(staleness === undefined ? {} : { staleness }),
      ...(localSteps === undefined ? {} : { localSteps }),
      ...(base === undefined ? {} : { base: MemoryTensorSource.fromParameters(base) }),
      ...(control === undefined ? {} : { control: MemoryTensorSource.fromParameters(control) }),
    })),
    state: state === null ? null : MemoryTensorSource.fromParameters(state),
    scalars,
    seed,
    failures,
    ...(input.noiseSecret === undefined ? {} : { noiseSecret: input.noiseSecret }),
    ...(input.population === undefined ? {} : { population: input.population }),
  };
}

/** The bytes to write into, none of which anything is read from. */
function memoryOf(into: Parameters, { global, updates, state }: ParametersInput): ReadonlyMap<string, Uint8Array> {
  const sources = [global, state, ...updates.flatMap(({ parameters, base, control }) => [parameters, base, control])];
  const read = new Set(sources.flatMap((source) => [...(source?.values() ?? [])].map(({ data }) => data.buffer)));
  return new Map(
    [...into].map(([name, { data }]) => {
      if (read.has(data.buffer)) throw new InvalidArgumentError(`into: tensor ${name} lies in memory that this round reads`);
      return [name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
    }),
  );
}

function takeParameters(source: MemoryTensorSource): Parameters {
  const parameters = new Map<string, Float32Tensor>();
  for (const { name, shape } of source.specs) {
    // The sink's own memory: nobody else has it.
    const { bytes } = source.locate(name);
    parameters.set(name, { shape, data: new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4) });
  }
  return parameters;
}

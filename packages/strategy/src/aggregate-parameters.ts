import { MemoryTensorSink, MemoryTensorSource, type Float32Tensor, type Metrics, type Parameters } from '@zk0/core';
import type { AggregationOptions, AggregationResult, Scalars, Strategy } from './contract.ts';

/** One client's result as arrays. */
export interface ParametersUpdate {
  readonly clientId: string;
  readonly parameters: Parameters;
  readonly numExamples: number;
  readonly metrics?: Metrics;
  readonly staleness?: number;
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
  readonly failures?: number;
  readonly population?: number;
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
 * With threads, results are in `SharedArrayBuffer`s.
 *
 * @throws AggregationError when the round cannot count.
 */
export async function aggregateParameters(
  strategy: Strategy,
  input: ParametersInput,
  options?: AggregationOptions,
): Promise<ParametersResult> {
  const { round = 1, state = null, scalars = {}, seed = 0, failures = 0 } = input;
  const global = MemoryTensorSource.fromParameters(input.global);
  const stateSpecs = strategy.stateSpecs(global.specs);
  // Worker threads leave their results where they belong.
  const memory = { shared: (options?.workers ?? 0) !== 0 };
  const parametersSink = new MemoryTensorSink(global.specs, memory);
  const stateSink = stateSpecs.length === 0 ? null : new MemoryTensorSink(stateSpecs, memory);
  const result = await strategy.aggregate(
    {
      round,
      global,
      updates: input.updates.map(({ clientId, parameters, numExamples, metrics = {}, staleness, base, control }) => ({
        clientId,
        numExamples,
        metrics,
        tensors: MemoryTensorSource.fromParameters(parameters),
        ...(staleness === undefined ? {} : { staleness }),
        ...(base === undefined ? {} : { base: MemoryTensorSource.fromParameters(base) }),
        ...(control === undefined ? {} : { control: MemoryTensorSource.fromParameters(control) }),
      })),
      state: state === null ? null : MemoryTensorSource.fromParameters(state),
      scalars,
      seed,
      failures,
      ...(input.population === undefined ? {} : { population: input.population }),
    },
    { parameters: parametersSink, state: stateSink },
    options,
  );
  return {
    ...result,
    parameters: takeParameters(parametersSink.finish()),
    state: stateSink === null ? null : takeParameters(stateSink.finish()),
  };
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

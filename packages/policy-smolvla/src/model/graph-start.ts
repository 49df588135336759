import { GraphBuilder, type DataType, type ProductType } from '@zk0/onnx-train';
import { PolicyError } from '../errors.ts';
import { checkModelConfig, type SmolVlaModelConfig } from './config.ts';
import type { GraphShape, WeightSource } from './graph-shape.ts';
import { factorSpecs, optimizedSpecs } from './lora.ts';
import { WeightTable } from './weight-table.ts';
import { trainedWeightSpecs } from './weights.ts';

/** In which precision a graph computes. */
export interface PrecisionOptions {
  /** Element type of matrix products; everything between them is float32. Float32 by default. */
  readonly products?: ProductType;
}

/** How the batch of a training graph is computed. */
export interface BatchParts {
  /** In how many equal parts, one after the other, for memory's sake; 1 by default. A divisor of the batch. */
  readonly parts?: number | undefined;
}

/** How the frozen prefix is fed. */
export interface FrozenOptions extends PrecisionOptions {
  /** Element type of `prefixKeys` and `prefixValues`; float32 by default, 16-bit types are cast inside. */
  readonly prefixType?: DataType;
  /** Or it is computed inside, from the prefix graph's inputs: one copy of the text model for both. */
  readonly fromTokens?: boolean;
}

/** A graph that has just been begun. */
export interface Started {
  readonly graph: GraphBuilder;
  readonly table: WeightTable;
  /** Names of what an optimiser renews, in the model's order: the trained weights, or their factors. */
  readonly optimized: readonly string[];
}

/**
 * Checks what a graph is to be written for and begins it. Its inputs are the trained weights (`trained`), these and with LoRA
 * their factors (`optimized`), those of the trained weights that the source lacks (`absent`), or left to the caller (`none`).
 */
export function start(
  name: string,
  config: SmolVlaModelConfig,
  weights: WeightSource,
  inputs: 'trained' | 'optimized' | 'absent' | 'none',
  { products = 'float32' }: PrecisionOptions,
  shape?: GraphShape,
): Started {
  checkModelConfig(config);
  if (shape !== undefined) checkShape(config, shape);
  const graph = new GraphBuilder(name, { products });
  const specs = [...trainedWeightSpecs(config), ...(inputs === 'optimized' ? factorSpecs(config) : [])];
  const fed = inputs === 'none' ? [] : specs.filter(({ name }) => inputs !== 'absent' || weights(name) === undefined);
  const given = new Map(fed.map(({ name, shape: size }) => [name, graph.input(name, 'float32', size)]));
  return { graph, table: new WeightTable(graph, config, weights, given), optimized: optimizedSpecs(config).map(({ name }) => name) };
}

function checkShape(config: SmolVlaModelConfig, shape: GraphShape): void {
  const { batch, cameras, emptyCameras, languageTokens, actionSize } = shape;
  const counts = { batch, cameras, languageTokens, actionSize };
  for (const [name, count] of Object.entries({ ...counts, emptyCameras })) {
    const least = name === 'emptyCameras' ? 0 : 1;
    if (!Number.isSafeInteger(count) || count < least) {
      throw new PolicyError('FEATURES_MISMATCH', `graph shape: ${name} ${count} is not a whole number of at least ${least}`);
    }
  }
  if (actionSize > config.maxActionDim) {
    throw new PolicyError('FEATURES_MISMATCH', `${actionSize} action dimensions, the policy takes ${config.maxActionDim} at most`);
  }
}

/** Refuses a configuration whose prefix changes with training. */
export function requireFrozenPrefix(config: SmolVlaModelConfig): void {
  if (config.trainExpertOnly) return;
  throw new PolicyError('POLICY_UNSUPPORTED', 'trainExpertOnly is off: the prefix is trained and cannot be fed from a cache', {
    hint: 'Use the graphs that start from images.',
  });
}


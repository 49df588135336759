/**
 * @module
 * Low-rank adaptation (LoRA): the weight W [out, in] of a linear layer stays as it is, and what is trained is B [out, rank]
 * and A [rank, in] of `W + alpha / rank · B · A`.
 *
 * Which layers are adapted, and how A and B begin, follow LeRobot's support of PEFT for SmolVLA
 * (`SmolVLAPolicy._get_default_peft_targets`, releases 0.4.3 to 0.6) and PEFT's `LoraLayer.reset_lora_parameters`: the
 * expert's query and value projections, `state_proj`, `action_in_proj`, `action_out_proj` and both time layers; A is uniform in
 * ±1/√in, B is zero. Biases and everything else stay frozen.
 */
import { lowRankRow, Random, type Float32Tensor, type Parameters, type TensorSpec } from '@zk0/core';
import type { SmolVlaModelConfig } from './config.ts';
import { trainedWeightSpecs } from './weights.ts';

/** LeRobot's pattern of the adapted modules, as PEFT's `target_modules` takes it. */
export const LORA_TARGETS =
  '(model\\.vlm_with_expert\\.lm_expert\\..*\\.(q|v)_proj|model\\.(state_proj|action_in_proj|action_out_proj|action_time_mlp_in|action_time_mlp_out))';

/** A factor of an adapted weight. */
export interface FactorSpec extends TensorSpec {
  readonly dtype: 'F32';
  /** Name of the weight that it belongs to. */
  readonly weight: string;
}

/** Name of the factor A or B of a weight `<module>.weight`, as PEFT stores it behind its prefix. */
export function factorName(weight: string, which: 'A' | 'B'): string {
  return `${weight.replace(/\.weight$/, '')}.lora_${which}.weight`;
}

/** The factors of all adapted weights, A before B, in the model's order; none where the configuration has no LoRA. */
export function factorSpecs(config: SmolVlaModelConfig): readonly FactorSpec[] {
  const { lora } = config;
  if (lora === undefined) return [];
  return trainedWeightSpecs(config).flatMap(({ name, shape }): FactorSpec[] => {
    const [outputs, inputs] = shape as [number, number];
    return [
      { name: factorName(name, 'A'), dtype: 'F32', shape: [lora.rank, inputs], weight: name },
      { name: factorName(name, 'B'), dtype: 'F32', shape: [outputs, lora.rank], weight: name },
    ];
  });
}

/** What an optimiser renews: the factors with LoRA, else the trained weights themselves. */
export function optimizedSpecs(config: SmolVlaModelConfig): readonly TensorSpec[] {
  return config.lora === undefined ? trainedWeightSpecs(config) : factorSpecs(config);
}

/** What `B · A` is multiplied by; 0 where the configuration has no LoRA. */
export function loraScale({ lora }: Pick<SmolVlaModelConfig, 'lora'>): number {
  return lora === undefined ? 0 : lora.alpha / lora.rank;
}

/** Factors to begin with, as PEFT draws them, from a seed: A uniform in ±1/√in (`kaiming_uniform_` with a = √5), B zero. */
export function initialFactors(config: SmolVlaModelConfig, seed: string): Parameters {
  return new Map(
    factorSpecs(config).map(({ name, shape, weight }): [string, Float32Tensor] => {
      const [rows, columns] = shape as [number, number];
      const data = new Float32Array(rows * columns);
      if (name === factorName(weight, 'A')) {
        const random = new Random(`${seed}/${name}`);
        const bound = columns ** -0.5;
        for (let index = 0; index < data.length; index++) data[index] = (2 * random.uniform() - 1) * bound;
      }
      return [name, { shape, data }];
    }),
  );
}

/**
 * The weights with their factors folded in, `W + alpha / rank · B · A`, summed in float64 and rounded to float32 once.
 *
 * @param weights the trained weights; those without factors are taken as they are
 */
export function mergeFactors(config: SmolVlaModelConfig, weights: Parameters, factors: Parameters): Parameters {
  const scale = loraScale(config);
  return new Map(
    [...weights].map(([name, tensor]): [string, Float32Tensor] => {
      const [a, b] = [factors.get(factorName(name, 'A')), factors.get(factorName(name, 'B'))];
      return [name, a === undefined || b === undefined ? tensor : { shape: tensor.shape, data: mergeInto(tensor, a, b, scale) }];
    }),
  );
}

/** `base + scale · b · a`, with shapes [out, in], [rank, in] and [out, rank]. */
export function mergeInto(base: Float32Tensor, a: Float32Tensor, b: Float32Tensor, scale: number): Float32Array {
  const [outputs, inputs] = base.shape as [number, number];
  const rank = a.shape[0]!;
  const merged = new Float32Array(outputs * inputs);
  const row = new Float64Array(inputs);
  for (let output = 0; output < outputs; output++) {
    lowRankRow(a.data, b.data, rank, output, row);
    const from = output * inputs;
    for (let input = 0; input < inputs; input++) merged[from + input] = base.data[from + input]! + scale * row[input]!;
  }
  return merged;
}

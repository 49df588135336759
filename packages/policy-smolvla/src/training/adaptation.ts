import { deriveSeed, type FitOptions, type Parameters } from '@zk0/core';
import { NotFiniteError, PolicyError } from '../errors.ts';
import type { SmolVlaModelConfig } from '../model/config.ts';
import { initialFactors, mergeFactors } from '../model/lora.ts';
import type { Trained, Trainer, TrainingRound } from './round.ts';

/** How a round gets from the weights that it is given to what is optimised, and back. */
export interface Adaptation {
  /** Trains what is optimised; the weights of a {@link NotFiniteError} are whole ones. */
  train(trainer: Trainer, round: Omit<TrainingRound, 'start' | 'fixed'>): Promise<Trained>;
  /** The weights that optimised values make. */
  weightsOf(optimized: Parameters): Parameters;
}

/**
 * The adaptation that a configuration asks for: none, so that the weights themselves are optimised, or LoRA, whose factors begin
 * anew in every round: what earlier rounds have learned is in the weights.
 *
 * @throws PolicyError POLICY_UNSUPPORTED for corrected gradients (SCAFFOLD) and for kept moments with LoRA
 */
export function adaptation(
  config: SmolVlaModelConfig,
  global: Parameters,
  seed: string,
  { correction, optimizer }: Pick<FitOptions, 'correction' | 'optimizer'>,
): Adaptation {
  if (config.lora === undefined) {
    return { train: (trainer, round) => trainer({ ...round, start: global }), weightsOf: (optimized) => optimized };
  }
  if (correction !== undefined) {
    throw new PolicyError('POLICY_UNSUPPORTED', 'a correction of the weights’ gradients (SCAFFOLD) cannot be applied to LoRA’s factors', {
      hint: 'Choose another strategy than scaffold, or train without LoRA.',
    });
  }
  if (optimizer !== undefined) {
    throw new PolicyError('POLICY_UNSUPPORTED', 'LoRA’s factors begin anew in every round: moments of earlier ones are not those of their gradients', {
      hint: 'Let the optimiser begin anew, too, or train without LoRA.',
    });
  }
  const weightsOf = (factors: Parameters): Parameters => mergeFactors(config, global, factors);
  const start = initialFactors(config, deriveSeed(seed, 'lora'));
  return {
    weightsOf,
    train: async (trainer, round) => {
      try {
        return await trainer({ ...round, start, fixed: global });
      } catch (error) {
        throw error instanceof NotFiniteError ? new NotFiniteError(error.step, error.tensor, weightsOf(error.lastGood)) : error;
      }
    },
  };
}

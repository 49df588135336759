import { formatDuration } from './format.ts';

/** Trainings that take longer are announced before they start. */
export const LONG_TRAINING_SECONDS = 600;

/** What LeRobot's guide to SmolVLA trains for some 50 episodes. */
const RECIPE = { steps: 20_000, batchSize: 64 };

/** One line on what a long training takes and amounts to, before it starts. */
export function describeTrainingCost(seconds: number, steps: number, batchSize: number): string {
  const share = (100 * steps * batchSize) / (RECIPE.steps * RECIPE.batchSize);
  const percent = share >= 10 ? share.toFixed(0) : share.toPrecision(1);
  const recipe = `${percent} % of what SmolVLA's recipe trains on 50 episodes (${RECIPE.steps} steps of ${RECIPE.batchSize})`;
  return `about ${formatDuration(seconds)} of training on this processor: ${steps} steps of ${batchSize} samples, ${recipe}`;
}

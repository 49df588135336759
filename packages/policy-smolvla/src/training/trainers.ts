import type { ModelRuntime, TrainingPlace } from '../runtime/model-runtime.ts';
import { trainOnHost } from './host-trainer.ts';
import { trainInLoop } from './loop-trainer.ts';
import type { Trainer } from './round.ts';
import { trainStepwise } from './stepwise-trainer.ts';

const TRAINERS: Readonly<Record<TrainingPlace, Trainer>> = { host: trainOnHost, stepwise: trainStepwise, loop: trainInLoop };

/** What trains on a runtime's device. */
export function trainerFor({ training }: ModelRuntime): Trainer {
  return TRAINERS[training];
}

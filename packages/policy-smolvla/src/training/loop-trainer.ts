import {
  adamWSchedule,
  float32Tensor,
  INITIAL_LOSS_SCALE,
  LEAST_LOSS_SCALE,
  sharedTensor,
  type Session,
  type Tensor,
  type Tensors,
} from '@zk0/onnx-train';
import { buildTrainLoopGraph, trainingState } from '../model/device-training.ts';
import { beginRound, deviceOptions, endRound, notFinite } from './device-round.ts';
import { hasManyRows } from './input-graphs.ts';
import { batchesAhead, throwIfAborted, type Trained, type TrainingRound } from './round.ts';

/** Most bytes of batches that one run is fed. */
const MAX_BATCH_BYTES = 1e9;
/** Most steps of one run: progress is reported, and training can be stopped, between runs. */
const MAX_STEPS = 64;

/**
 * Many steps in one run (`Loop`), so that weights and moments cross to the device and back once a run: for CUDA, whose
 * memory onnxruntime-node cannot bind. More steps in a run make the crossing cheaper, and need their batches on the device
 * at once; as many are taken as {@link MAX_BATCH_BYTES} hold, and no more than {@link MAX_STEPS}.
 *
 * All runs of a round have the same number of steps, for which the graph is written. What the last has too many of gets the last
 * batch at a learning rate of 0, and NaN for noise: a step that is not finite is not applied, so weights and moments stay.
 */
export async function trainInLoop(round: TrainingRound): Promise<Trained> {
  const batches = batchesAhead(round);
  try {
    const { batch: first } = (await batches.next()).value as { batch: Tensors };
    const perRun = stepsPerRun(round, Object.values(first).reduce((sum, { data }) => sum + data.byteLength, 0));
    const options = { ...deviceOptions(round), steps: perRun };
    const { runtime, shape, config } = round;
    return await runtime.exclusively(
      `trainLoop ${JSON.stringify([shape, options])}`,
      hasManyRows(round.source),
      () => buildTrainLoopGraph(runtime.config, shape, runtime.weights, options),
      { state: { ...trainingState(config.model, options), ...(options.lossScaling && SCALE_STATE) } },
      async (session) => {
        const before = await beginRound(round, session, options.lossScaling ? initialScale() : {});
        const taken = await takeSteps(round, session, before, new BatchStacks(round.steps, perRun, first, batches));
        return endRound(round, session, taken);
      },
    );
  } finally {
    await batches.return(undefined);
  }
}

/** @returns the optimiser steps taken, `before` included. */
async function takeSteps(round: TrainingRound, session: Session, before: number, stacks: BatchStacks): Promise<number> {
  const { config, steps, proximalMu } = round;
  let taken = before;
  let next: Promise<Tensors> | undefined = stacks.fill(0);
  try {
    for (let begin = 0; begin < steps; begin += stacks.steps) {
      const batches: Tensors = await next!;
      throwIfAborted(round.signal, 'training');
      next = begin + stacks.steps < steps ? stacks.fill(begin + stacks.steps) : undefined;
      next?.catch(() => undefined);
      const rates = Array.from({ length: stacks.steps }, (_, index) => round.learningRates[begin + index] ?? 0);
      const mu = proximalMu === 0 ? {} : { mu: scalar(proximalMu) };
      const outputs = await session.run({ ...batches, ...mu, schedule: adamWSchedule(config.optimizer, rates, taken + 1) });
      taken += await report(round, session, begin, outputs);
    }
    return taken;
  } finally {
    await next?.catch(() => undefined);
  }
}

/** Reports a run's steps, or throws at the one that ended the training; returns how many were applied. */
async function report(round: TrainingRound, session: Session, begin: number, outputs: Tensors): Promise<number> {
  const of = (name: string): Float32Array => outputs[name]!.data as Float32Array;
  const [losses, squares] = [of('loss'), of('gradientSquares')];
  const scales = outputs['lossScales']?.data as Float32Array | undefined;
  const width = squares.length / losses.length;
  let taken = 0;
  for (let index = 0; index < losses.length && begin + index < round.steps; index++) {
    const policyLoss = losses[index]!;
    const applied = of('applied')[index] === 1;
    const mayGoOn = Number.isFinite(policyLoss) && scales !== undefined && scales[index]! >= LEAST_LOSS_SCALE;
    if (!applied && !mayGoOn) {
      throw await notFinite(round, session, begin + index, policyLoss, squares.subarray(index * width, (index + 1) * width));
    }
    if (applied) taken++;
    const [proximalLoss, gradientNorm] = [of('proximalLoss')[index]!, of('gradientNorm')[index]!];
    round.onStep(begin + index, { policyLoss, proximalLoss, gradientNorm, applied });
  }
  return taken;
}

/** Batches one behind the other, [steps, …] each, in two places in turn: one is filled while a run reads the other. */
class BatchStacks {
  readonly steps: number;
  readonly #total: number;
  readonly #batches: AsyncIterator<{ readonly batch: Tensors }>;
  readonly #places: Record<string, Tensor>[] = [{}, {}];
  #last: Tensors;

  constructor(total: number, steps: number, first: Tensors, rest: AsyncIterator<{ readonly batch: Tensors }>) {
    this.#total = total;
    this.steps = steps;
    this.#last = first;
    this.#batches = rest;
  }

  async fill(begin: number): Promise<Tensors> {
    const tensors = this.#places.reverse()[0]!;
    for (let index = 0; index < this.steps; index++) {
      const step = begin + index;
      if (step > 0 && step < this.#total) this.#last = ((await this.#batches.next()).value as { batch: Tensors }).batch;
      for (const [name, { dtype, shape, data }] of Object.entries(this.#last)) {
        tensors[name] ??= sharedTensor(dtype, [this.steps, ...shape]);
        const into = tensors[name].data as Float32Array;
        if (step >= this.#total && name === 'noise') into.fill(NaN, index * data.length, (index + 1) * data.length);
        else into.set(data as Float32Array, index * data.length);
      }
    }
    return tensors;
  }
}

/** Steps of each run: as equal runs as there have to be, so that the last repeats little. */
export function stepsPerRun({ steps, runtime }: Pick<TrainingRound, 'steps' | 'runtime'>, bytes: number): number {
  const most = Math.max(1, Math.min(runtime.stepsPerRun ?? MAX_STEPS, Math.floor(MAX_BATCH_BYTES / bytes)));
  return Math.ceil(steps / Math.ceil(steps / most));
}

const SCALE_STATE = { lossScale: 'next/lossScale', lossStreak: 'next/lossStreak' } as const;

function initialScale(): Tensors {
  return { lossScale: scalar(INITIAL_LOSS_SCALE.scale), lossStreak: scalar(INITIAL_LOSS_SCALE.streak) };
}

function scalar(value: number): Tensor {
  return float32Tensor(Float32Array.of(value), []);
}

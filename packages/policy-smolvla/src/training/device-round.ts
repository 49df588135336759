import { elementCount, type Float32Tensor, type Parameters } from '@zk0/core';
import { float32Tensor, type Session, type Tensor, type Tensors } from '@zk0/onnx-train';
import { NotFiniteError } from '../errors.ts';
import type { DeviceTrainingOptions } from '../model/device-training.ts';
import { gradientName, type TrainingPart } from '../model/graph-shape.ts';
import { optimizedSpecs } from '../model/lora.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import { sharedWeights } from '../runtime/shared-weights.ts';
import { MomentSource, readMoments } from './optimizer-state.ts';
import type { Trained, TrainingRound } from './round.ts';

/** How a round's graph is written. Only float16's gradients need a scaled loss: bfloat16 reaches as far as float32. */
export function deviceOptions({ config, runtime, source, parts, proximalMu, correction }: TrainingRound): DeviceTrainingOptions {
  const { betas, epsilon, gradClipNorm } = config.optimizer;
  return {
    source,
    parts,
    optimizer: { betas, epsilon },
    maxGradientNorm: gradClipNorm,
    proximal: proximalMu !== 0,
    correction: correction !== undefined,
    products: runtime.precision,
    lossScaling: runtime.precision === 'float16',
  };
}

/**
 * Gives a session the state that a round begins with.
 *
 * @returns the optimiser steps that its moments are of.
 */
export async function beginRound(round: TrainingRound, session: Session, more: Tensors = {}): Promise<number> {
  await session.setState({ ...initialState(round), ...more });
  const before = round.optimizer?.state ?? null;
  if (before === null) return 0;
  const specs = optimizedSpecs(round.config.model);
  // One after the other, in memory for the largest.
  const memory = new SharedArrayBuffer(4 * Math.max(...specs.map(({ shape }) => elementCount(shape))));
  await readMoments(before, specs, async (moment, { name, shape }, read) => {
    const data = new Float32Array(memory, 0, elementCount(shape));
    await read(data);
    await session.setState({ [`${moment}Moment/${name}`]: float32Tensor(data, shape) });
  });
  return before.stepsTaken;
}

/**
 * The state that a round begins with, without kept moments: what is optimised, moments and sums of 0, what the proximal term pulls towards, the
 * correction; with LoRA also the weights that stay.
 */
function initialState({ config, start, fixed, proximalMu, correction }: TrainingRound): Tensors {
  const weights = sharedWeights(optimizedSpecs(config.model), start);
  // Read, never written: one array of zeros serves all.
  const most = Math.max(...[...weights.values()].map(({ data }) => data.length));
  const nothing = new SharedArrayBuffer(4 * most);
  const entries = [...weights].flatMap(([name, tensor]): (readonly [string, Tensor])[] => {
    const zeros = float32Tensor(new Float32Array(nothing, 0, tensor.data.length), tensor.shape);
    const fixed = proximalMu === 0 ? [] : ([[`reference/${name}`, tensor]] as const);
    const corrected = correction === undefined ? [] : ([[`correction/${name}`, correction.get(name)!], [`gradientSum/${name}`, zeros]] as const);
    return [[name, tensor], [`firstMoment/${name}`, zeros], [`secondMoment/${name}`, zeros], ...fixed, ...corrected];
  });
  const unchanged = fixed === undefined ? [] : sharedWeights(trainedWeightSpecs(config.model), fixed);
  return Object.fromEntries([...entries, ...unchanged]);
}

/** What the training left in a session, after so many optimiser steps. */
export async function endRound(round: TrainingRound, session: Session, stepsTaken: number): Promise<Trained> {
  const moments = new MomentSource(optimizedSpecs(round.config.model), async (moment, parameter) => {
    const name = `${moment}Moment/${parameter}`;
    return (await session.getState([name]))[name]!.data as Float32Array;
  });
  await round.optimizer?.keep({ stepsTaken, moments });
  const optimized = await stateOf(round, session, '');
  return round.correction === undefined ? { optimized } : { optimized, gradientSums: await stateOf(round, session, 'gradientSum/') };
}

/** A part of the state as a session has it, by what is optimised. */
async function stateOf({ config }: TrainingRound, session: Session, part: TrainingPart): Promise<Parameters> {
  const names = optimizedSpecs(config.model).map(({ name }) => name);
  const tensors = await session.getState(names.map((name) => `${part}${name}`));
  return new Map(
    names.map((name): [string, Float32Tensor] => {
      const { shape, data } = tensors[`${part}${name}`]!;
      return [name, { shape, data: data as Float32Array }];
    }),
  );
}

/** The error for a step that was not finite: its loss, else the first gradient that is not. */
export async function notFinite(
  round: TrainingRound,
  session: Session,
  step: number,
  policyLoss: number,
  gradientSquares: Float32Array,
): Promise<NotFiniteError> {
  const names = optimizedSpecs(round.config.model).map(({ name }) => name);
  const bad = gradientSquares.findIndex((square) => !Number.isFinite(square));
  const tensor = Number.isFinite(policyLoss) ? gradientName(names[Math.max(bad, 0)]!) : 'loss';
  return new NotFiniteError(step, tensor, await stateOf(round, session, ''));
}

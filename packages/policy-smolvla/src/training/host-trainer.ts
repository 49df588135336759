import type { Float32Tensor, Parameters } from '@zk0/core';
import { GradientError, Optimizer, sharedTensor, type Tensor } from '@zk0/onnx-train';
import { NotFiniteError } from '../errors.ts';
import { gradientName } from '../model/graph-shape.ts';
import { optimizedSpecs } from '../model/lora.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import type { HostMemory } from '../runtime/host-memory.ts';
import { sharedWeights } from '../runtime/shared-weights.ts';
import { hasManyRows, trainGraphFrom } from './input-graphs.ts';
import { MomentSource, readMoments } from './optimizer-state.ts';
import { batchesAhead, type Trained, type TrainingRound } from './round.ts';

/** Trained values from which threads pay for an optimiser step; fewer take milliseconds in the calling thread. */
const THREADED_FROM = 4e6;

/** The graph computes gradients into shared memory, where the optimiser over arrays takes them up: for the processor. */
export async function trainOnHost(round: TrainingRound): Promise<Trained> {
  const memory = round.runtime.hostMemory.take();
  try {
    return await trainIn(memory, round);
  } finally {
    round.runtime.hostMemory.giveBack(memory);
  }
}

async function trainIn(memory: HostMemory, round: TrainingRound): Promise<Trained> {
  const { runtime, shape, source, parts, start, fixed: unchanged, config } = round;
  const { weights } = memory;
  const key = `train ${JSON.stringify([source, shape, parts])}`;
  const session = await runtime.session(key, hasManyRows(source), () => trainGraphFrom(runtime, shape, source, parts));
  for (const [name, { data }] of weights) (data as Float32Array).set(start.get(name)!.data);
  const specs = optimizedSpecs(config.model);
  const before = round.optimizer?.state ?? null;
  if (before !== null) await readMoments(before, specs, (moment, { name }, read) => read(memory.moments[moment][name]!));
  const optimizer = optimizerOf(round, memory);
  optimizer.stepsTaken = before?.stepsTaken ?? 0;
  const fixed = {
    feeds: Object.fromEntries([...weights, ...(unchanged === undefined ? [] : sharedWeights(trainedWeightSpecs(config.model), unchanged))]),
    into: Object.fromEntries([...memory.gradients].map(([name, tensor]) => [gradientName(name), tensor])),
  };
  try {
    for await (const { step, batch } of batchesAhead(round)) {
      const { loss } = await session.run({ ...batch, ...fixed.feeds }, { into: fixed.into });
      const policyLoss = arrayOf(loss!)[0]!;
      if (!Number.isFinite(policyLoss)) throw new NotFiniteError(step, 'loss', copyOut(weights));
      const { gradientNorm, proximalLoss } = await optimizer.step(round.learningRates[step]!).catch((error: unknown) => {
        throw error instanceof GradientError ? new NotFiniteError(step, gradientName(error.tensor), copyOut(weights)) : error;
      });
      round.onStep(step, { policyLoss, proximalLoss, gradientNorm, applied: true });
    }
  } finally {
    await optimizer.close();
  }
  await round.optimizer?.keep({
    stepsTaken: optimizer.stepsTaken,
    moments: new MomentSource(specs, (moment, name) => memory.moments[moment][name]!),
  });
  const gradientSums = [...weights].map(([name, { shape: size }]): [string, Float32Tensor] => [
    name,
    { shape: size, data: optimizer.gradientSums[name]! },
  ]);
  return { optimized: copyOut(weights), ...(round.correction !== undefined && { gradientSums: new Map(gradientSums) }) };
}

/** AdamW over shared memory, with the moments that lie there. */
function optimizerOf(
  { config, runtime, proximalMu, correction }: TrainingRound,
  { weights, gradients, moments, arena }: HostMemory,
): Optimizer {
  const { betas, epsilon, weightDecay, gradClipNorm } = config.optimizer;
  const values = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
  return new Optimizer({
    rule: { kind: 'adamw', betas, epsilon, weightDecay },
    weights: Object.fromEntries([...weights].map(([name, tensor]) => [name, arrayOf(tensor)])),
    gradients: Object.fromEntries([...weights.keys()].map((name) => [name, arrayOf(gradients.get(name)!)])),
    moments,
    ...(arena === undefined ? {} : { arena }),
    maxGradientNorm: gradClipNorm,
    threads: values < THREADED_FROM ? 1 : runtime.threads,
    ...(proximalMu === 0 ? {} : { proximal: { mu: proximalMu, reference: sharedCopies(weights) } }),
    ...(correction !== undefined && {
      correction: Object.fromEntries([...correction].map(([name, tensor]) => [name, arrayOf(tensor)])),
    }),
  });
}

/** What the proximal term pulls towards: the weights as they are now. */
function sharedCopies(weights: ReadonlyMap<string, Tensor>): Record<string, Float32Array> {
  return Object.fromEntries(
    [...weights].map(([name, tensor]) => {
      const copy = arrayOf(sharedTensor('float32', tensor.shape));
      copy.set(arrayOf(tensor));
      return [name, copy];
    }),
  );
}

function copyOut(weights: ReadonlyMap<string, Tensor>): Parameters {
  return new Map([...weights].map(([name, tensor]): [string, Float32Tensor] => [name, { shape: tensor.shape, data: arrayOf(tensor).slice() }]));
}

function arrayOf(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}

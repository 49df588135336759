import {
  adamWSchedule,
  COEFFICIENTS,
  float32Tensor,
  INITIAL_LOSS_SCALE,
  LEAST_LOSS_SCALE,
  nextLossScale,
  type LossScale,
  type Tensor,
} from '@zk0/onnx-train';
import { buildTrainStepGraph, trainingState } from '../model/device-training.ts';
import { beginRound, deviceOptions, endRound, notFinite } from './device-round.ts';
import { hasManyRows } from './input-graphs.ts';
import { batchesAhead, type Trained, type TrainingRound } from './round.ts';

/**
 * One run of a whole step at a time, weights and moments staying on the device between runs: for WebGPU. The host looks at
 * loss and gradient norm after each, and finds the loss scale.
 */
export function trainStepwise(round: TrainingRound): Promise<Trained> {
  const { config, runtime, shape, proximalMu } = round;
  const options = deviceOptions(round);
  return runtime.exclusively(
    `trainStep ${JSON.stringify([shape, options])}`,
    hasManyRows(round.source),
    () => buildTrainStepGraph(runtime.config, shape, runtime.weights, options),
    { state: trainingState(config.model, options), guards: ['loss', 'gradientNorm'] },
    async (session) => {
      const mu = options.proximal ? { mu: scalar(proximalMu) } : {};
      let scale = INITIAL_LOSS_SCALE;
      let taken = await beginRound(round, session);
      for await (const { step, batch } of batchesAhead(round)) {
        const { data } = adamWSchedule(config.optimizer, [round.learningRates[step]!], taken + 1);
        const outputs = await session.run({
          ...batch,
          ...mu,
          ...(options.lossScaling && { lossScale: scalar(scale.scale) }),
          coefficients: float32Tensor((data as Float32Array).slice(0, COEFFICIENTS)),
        });
        const [policyLoss, proximalLoss, gradientNorm] = ['loss', 'proximalLoss', 'gradientNorm'].map((name) => Number(outputs[name]!.data[0]));
        const applied = Number.isFinite(policyLoss) && Number.isFinite(gradientNorm);
        scale = nextLossScale(scale, applied);
        if (!applied && !mayGoOn(policyLoss!, scale, options.lossScaling)) {
          throw await notFinite(round, session, step, policyLoss!, outputs['gradientSquares']!.data as Float32Array);
        }
        if (applied) taken++;
        round.onStep(step, { policyLoss: policyLoss!, proximalLoss: proximalLoss!, gradientNorm: gradientNorm!, applied });
      }
      return endRound(round, session, taken);
    },
  );
}

/** Whether a step that was not finite may be the loss scale's fault. */
function mayGoOn(policyLoss: number, { scale }: LossScale, isScaled: boolean): boolean {
  return isScaled && Number.isFinite(policyLoss) && scale >= LEAST_LOSS_SCALE;
}

function scalar(value: number): Tensor {
  return float32Tensor(Float32Array.of(value), []);
}

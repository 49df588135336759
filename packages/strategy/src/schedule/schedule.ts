import type { ClientInstructions, FitContext, FitPlan, RoundRecord } from '../contract.ts';
import { standardDeviation, weightedMean } from '../statistics.ts';
import { decayed, type Decay } from './decay.ts';

/** A schedule's parts; a part that is `null` is off. */
export interface ScheduleOptions {
  readonly decay: Decay;
  /** μ and learning rate follow the trend of the server's loss over its last three evaluations. */
  readonly dynamic: {
    /** An improvement below this (−0.05: 5 % worse) multiplies both by `raise`. */
    readonly divergence: number;
    readonly raise: number;
    /** One below this multiplies both by `lower`. */
    readonly stall: number;
    readonly lower: number;
  } | null;
  /** A client whose last loss is above `threshold` times the mean of its earlier ones trains with `boost` times the rate. */
  readonly adaptiveLearningRate: { readonly threshold: number; readonly boost: number } | null;
  /** When the clients' last losses spread (population standard deviation) above `threshold`, μ is `boost` times as large. */
  readonly adaptiveMu: { readonly threshold: number; readonly boost: number } | null;
  /** While the server's loss has risen by more than this over its last three evaluations, `dynamic` changes nothing. */
  readonly spikeGuard: { readonly threshold: number } | null;
  /** What adapted values are kept within. */
  readonly limits: { readonly minLearningRate: number; readonly maxLearningRate: number; readonly minMu: number };
}

/** Evaluations that a trend is read from. */
const TREND = 3;

/**
 * Learning rate and μ of a round: a pure function of the configuration and of the finished rounds. So there is nothing to
 * save, and a server that starts again gives the same instructions.
 */
export function scheduled(options: ScheduleOptions, context: FitContext, proximalMu: number): FitPlan {
  const { round, totalRounds, clientIds, history } = context;
  const reasons: string[] = [];
  const followed = followTrend(options, context.learningRate, proximalMu, history, reasons);
  const learningRate = decayed(options.decay, followed.learningRate, round, totalRounds, history);
  const mu = followed.proximalMu * muBoost(options, history, reasons);
  return {
    clients: new Map(
      clientIds.map((clientId): [string, ClientInstructions] => {
        const boost = clientBoost(options, clientId, history);
        if (boost === 1 || learningRate === 0) return [clientId, { learningRate, proximalMu: mu }];
        const boosted = Math.max(learningRate, Math.min(learningRate * boost, options.limits.maxLearningRate));
        reasons.push(`client ${clientId}: loss is unusually high for it, learning rate ${boosted.toPrecision(4)}`);
        return [clientId, { learningRate: boosted, proximalMu: mu }];
      }),
    ),
    learningRate,
    proximalMu: mu,
    reasons,
  };
}

function followTrend(
  { dynamic, spikeGuard, limits }: ScheduleOptions,
  learningRate: number,
  proximalMu: number,
  history: readonly RoundRecord[],
  reasons: string[],
): ClientInstructions {
  if (dynamic === null) return { learningRate, proximalMu };
  let rate = learningRate;
  let mu = proximalMu;
  let why = '';
  const losses: number[] = [];
  for (const { serverLoss, round } of history) {
    if (serverLoss === null) continue;
    losses.push(serverLoss);
    if (losses.length < TREND) continue;
    const before = losses.at(-TREND)!;
    const improvement = (before - serverLoss) / Math.max(before, 1e-8);
    if (spikeGuard !== null && serverLoss - before > spikeGuard.threshold) {
      why = `round ${round}: loss jumped by ${(serverLoss - before).toPrecision(3)}, held`;
      continue;
    }
    const factor = improvement < dynamic.divergence ? dynamic.raise : improvement < dynamic.stall ? dynamic.lower : 1;
    why = `round ${round}: improvement ${(improvement * 100).toFixed(1)} % over ${TREND} evaluations, ×${factor}`;
    if (factor === 1) continue;
    rate = Math.min(Math.max(rate * factor, limits.minLearningRate), limits.maxLearningRate);
    // μ 0 means that there is no proximal term: it must not appear by adaptation.
    if (mu > 0) mu = Math.max(mu * factor, limits.minMu);
  }
  if (why !== '') reasons.push(why);
  return { learningRate: rate, proximalMu: mu };
}

function muBoost({ adaptiveMu }: ScheduleOptions, history: readonly RoundRecord[], reasons: string[]): number {
  const last = history.at(-1);
  if (adaptiveMu === null || last === undefined) return 1;
  const losses = Object.values(last.clients).flatMap(({ loss }) => (loss === null ? [] : [loss]));
  if (losses.length < 2) return 1;
  const deviation = standardDeviation(losses);
  if (deviation <= adaptiveMu.threshold) return 1;
  reasons.push(`clients' losses spread by ${deviation.toPrecision(3)}, μ ×${adaptiveMu.boost}`);
  return adaptiveMu.boost;
}

function clientBoost({ adaptiveLearningRate }: ScheduleOptions, clientId: string, history: readonly RoundRecord[]): number {
  if (adaptiveLearningRate === null) return 1;
  const losses = history.flatMap(({ clients }) => {
    const loss = Object.hasOwn(clients, clientId) ? clients[clientId]!.loss : null;
    return loss === null ? [] : [loss];
  });
  const last = losses.pop();
  if (last === undefined || losses.length === 0) return 1;
  const mean = weightedMean(losses);
  return last > adaptiveLearningRate.threshold * mean ? adaptiveLearningRate.boost : 1;
}

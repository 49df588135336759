import type { RoundRecord } from '../contract.ts';

/** How the learning rate changes from round to round by itself. */
export type Decay =
  | { readonly kind: 'constant' }
  /** Half a cosine from the full rate in the first round to `final` of it in the last. */
  | { readonly kind: 'cosine'; readonly final: number }
  /** Cosines to `min` over `period` rounds, then over `period·growth`, … (Loshchilov & Hutter, 2017). */
  | { readonly kind: 'warm-restarts'; readonly period: number; readonly growth: number; readonly min: number }
  /** Times `factor` when the server's loss has not fallen for more than `patience` evaluated rounds. */
  | { readonly kind: 'plateau'; readonly factor: number; readonly patience: number; readonly min: number };

/** A loss must fall by this fraction to count as an improvement (PyTorch's `ReduceLROnPlateau`). */
const PLATEAU_THRESHOLD = 1e-4;

/** The learning rate of a round (from 1). */
export function decayed(
  decay: Decay,
  learningRate: number,
  round: number,
  totalRounds: number,
  history: readonly RoundRecord[],
): number {
  switch (decay.kind) {
    case 'constant':
      return learningRate;
    case 'cosine':
      return anneal(learningRate, learningRate * decay.final, totalRounds > 1 ? Math.min(1, (round - 1) / (totalRounds - 1)) : 0);
    case 'warm-restarts': {
      let position = round - 1;
      let period = decay.period;
      while (position >= period) {
        position -= period;
        period *= decay.growth;
      }
      return anneal(learningRate, decay.min, position / period);
    }
    case 'plateau':
      return plateau(decay, learningRate, history);
  }
}

function anneal(from: number, to: number, progress: number): number {
  return to + ((from - to) * (1 + Math.cos(Math.PI * progress))) / 2;
}

function plateau(
  { factor, patience, min }: { readonly factor: number; readonly patience: number; readonly min: number },
  learningRate: number,
  history: readonly RoundRecord[],
): number {
  let rate = learningRate;
  let best = Infinity;
  let bad = 0;
  for (const { serverLoss } of history) {
    if (serverLoss === null) continue;
    if (serverLoss < best * (1 - PLATEAU_THRESHOLD)) {
      best = serverLoss;
      bad = 0;
    } else if (++bad > patience) {
      rate = Math.max(rate * factor, min);
      bad = 0;
    }
  }
  return rate;
}

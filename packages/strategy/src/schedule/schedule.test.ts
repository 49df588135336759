import { describe, expect, it } from 'vitest';
import { createStrategy, decayed, type FitContext, type FitPlan, type RoundRecord, type StrategyConfigInput } from '../index.ts';

/** Rounds with these server losses and, for every client, one loss per round. */
function history(serverLosses: readonly (number | null)[], clients: Readonly<Record<string, readonly number[]>> = {}): RoundRecord[] {
  return serverLosses.map((serverLoss, index) => ({
    round: index + 1,
    serverLoss,
    clients: Object.fromEntries(Object.entries(clients).map(([id, losses]) => [id, { loss: losses[index] ?? null }])),
  }));
}

type Schedule = NonNullable<StrategyConfigInput['schedule']>;

function plan(schedule: Schedule, rounds: readonly RoundRecord[], change: Partial<FitContext> & { mu?: number } = {}): FitPlan {
  const { mu = 0.01, ...rest } = change;
  return createStrategy({ name: 'fedprox', proximalMu: mu, schedule }).configureFit({
    round: rounds.length + 1,
    totalRounds: 100,
    clientIds: ['a', 'b'],
    learningRate: 1e-4,
    history: rounds,
    scalars: {},
    ...rest,
  });
}

describe('dynamic μ and learning rate', () => {
  const dynamic = { dynamic: {} };

  it('waits for three evaluations', () => {
    expect(plan(dynamic, history([1, 2]))).toMatchObject({ learningRate: 1e-4, proximalMu: 0.01, reasons: [] });
  });

  it.each([
    ['more than 5 % worse', [1, 1, 1.06], 1.1],
    ['almost 5 % worse', [1, 1, 1.049], 0.8],
    ['stalled', [1, 1, 0.995], 0.8],
    ['improving', [1, 0.99, 0.98], 1],
  ])('%s', (_what, losses, factor) => {
    const { learningRate, proximalMu, reasons } = plan(dynamic, history(losses));
    expect(learningRate).toBeCloseTo(1e-4 * factor, 12);
    expect(proximalMu).toBeCloseTo(0.01 * factor, 12);
    expect(reasons).toEqual([expect.stringContaining(`×${factor}`)]);
  });

  it('pitfall: what it decides reaches every client', () => {
    const { clients } = plan(dynamic, history([1, 1, 1]));
    for (const id of ['a', 'b']) {
      expect(clients.get(id)!.learningRate).toBeCloseTo(0.8e-4, 12);
      expect(clients.get(id)!.proximalMu).toBeCloseTo(0.008, 12);
    }
  });

  it('adjusts from round to round, over evaluated rounds alone', () => {
    expect(plan(dynamic, history([1, null, 1, null, 1, 1])).learningRate).toBeCloseTo(0.64e-4, 12);
  });

  it('stays within its limits', () => {
    const worse = history(Array.from({ length: 60 }, (_, index) => 1.1 ** index));
    expect(plan(dynamic, worse).learningRate).toBe(1e-3);
    const stalled = history(Array.from({ length: 60 }, () => 1));
    expect(plan(dynamic, stalled)).toMatchObject({ learningRate: 1e-5, proximalMu: 1e-3 });
  });

  it('never turns on a proximal term that is off', () => {
    expect(plan(dynamic, history([1, 1, 2]), { mu: 0 }).proximalMu).toBe(0);
  });

  it('is the same after a restart: a pure function of the history', () => {
    const rounds = history([1, 1, 1.2, 1.1, 1.3], { a: [1, 1, 1, 1, 9], b: [1, 1, 1, 1, 1] });
    expect(plan('zk0', JSON.parse(JSON.stringify(rounds)) as RoundRecord[])).toEqual(plan('zk0', rounds));
  });
});

describe('the spike guard', () => {
  it('holds while the loss has jumped', () => {
    const rounds = history([1, 1.1, 1.6]);
    expect(plan({ dynamic: {}, spikeGuard: {} }, rounds)).toMatchObject({ learningRate: 1e-4, reasons: [expect.stringContaining('held')] });
    expect(plan({ dynamic: {} }, rounds).learningRate).toBeCloseTo(1.1e-4, 12);
  });
});

describe('adaptive learning rate', () => {
  it('boosts a client whose loss is over twice its own earlier average, and nobody else', () => {
    const rounds = history([null, null, null], { a: [1, 1, 2.1], b: [3, 3, 5.9] });
    const { clients, learningRate, reasons } = plan({ adaptiveLearningRate: {} }, rounds);
    expect(clients.get('a')!.learningRate).toBeCloseTo(1.15e-4, 12);
    expect(clients.get('b')!.learningRate).toBe(1e-4);
    expect(learningRate).toBe(1e-4);
    expect(reasons).toEqual([expect.stringContaining('client a')]);
  });

  it('needs an earlier loss to compare with', () => {
    expect(plan({ adaptiveLearningRate: {} }, history([null], { a: [9] })).clients.get('a')!.learningRate).toBe(1e-4);
  });

  it('is not fooled by a client named like a property of every object', () => {
    expect(plan({ adaptiveLearningRate: {} }, history([1, 1]), { clientIds: ['constructor'] }).clients.get('constructor')!.learningRate).toBe(1e-4);
  });
});

describe('adaptive μ', () => {
  it('grows while the clients’ losses spread', () => {
    expect(plan({ adaptiveMu: {} }, history([null], { a: [1], b: [3.5] })).proximalMu).toBeCloseTo(0.0105, 12);
    expect(plan({ adaptiveMu: {} }, history([null], { a: [1], b: [3.4] })).proximalMu).toBe(0.01);
  });
});

describe('decay', () => {
  const rate = (kind: Parameters<typeof decayed>[0], round: number, total = 11): number => decayed(kind, 1e-3, round, total, []);

  it('cosine: from the full rate to 10 % in the last round', () => {
    const cosine = { kind: 'cosine', final: 0.1 } as const;
    expect(rate(cosine, 1)).toBe(1e-3);
    expect(rate(cosine, 6)).toBeCloseTo(0.55e-3, 12);
    expect(rate(cosine, 11)).toBeCloseTo(1e-4, 12);
    expect(rate(cosine, 1, 1)).toBe(1e-3);
  });

  it('warm restarts: cosines over 15, 30, … rounds, as PyTorch has them', () => {
    const restarts = { kind: 'warm-restarts', period: 15, growth: 2, min: 5e-7 } as const;
    const expected = (position: number, period: number): number => 5e-7 + ((1e-3 - 5e-7) * (1 + Math.cos((Math.PI * position) / period))) / 2;
    expect(rate(restarts, 1)).toBe(1e-3);
    expect(rate(restarts, 15)).toBeCloseTo(expected(14, 15), 12);
    expect(rate(restarts, 16)).toBe(1e-3);
    expect(rate(restarts, 31)).toBeCloseTo(expected(15, 30), 12);
    expect(rate(restarts, 46)).toBe(1e-3);
  });

  it('plateau: halves after more than 5 evaluations without a fall', () => {
    const plateau = { decay: { kind: 'plateau' } } as const;
    const losses = [1, ...Array.from({ length: 5 }, () => 1)];
    expect(plan(plateau, history(losses)).learningRate).toBe(1e-4);
    expect(plan(plateau, history([...losses, 1])).learningRate).toBe(5e-5);
    expect(plan(plateau, history([...losses, 0.5, 1])).learningRate).toBe(1e-4);
    expect(plan(plateau, history(Array.from({ length: 200 }, () => 1))).learningRate).toBe(5e-7);
  });

  it('comes on top of what is followed', () => {
    const { learningRate } = plan({ dynamic: {}, decay: { kind: 'cosine' } }, history([1, 1, 1]), { totalRounds: 4 });
    expect(learningRate).toBeCloseTo(0.8e-5, 12);
  });
});

describe('extremes', () => {
  it('a cosine may end at 0: the last round is a regular one with that rate, for every client', () => {
    const last = plan({ decay: { kind: 'cosine', final: 0 }, adaptiveLearningRate: {} }, history(new Array<number>(9).fill(1), { a: [1, 1, 1, 1, 1, 1, 1, 1, 9] }), { totalRounds: 10 });
    expect(last.learningRate).toBe(0);
    expect([...last.clients.values()].map(({ learningRate }) => learningRate)).toEqual([0, 0]);
    expect(last.reasons).toEqual([]);
    for (let round = 1; round <= 10; round++) {
      expect(decayed({ kind: 'cosine', final: 0 }, 1e-4, round, 10, [])).toBeGreaterThanOrEqual(0);
    }
  });

  it('losses at float64’s end give finite instructions', () => {
    const rounds = history([1e308, -1e308, 1e308, 1e308], { a: [1e308, 1e308, 1e308, 1e308], b: [-1e308, 1e308, 0, -1e308] });
    const { learningRate, proximalMu, clients } = plan('zk0', rounds);
    for (const value of [learningRate, proximalMu, ...[...clients.values()].flatMap(({ learningRate, proximalMu }) => [learningRate, proximalMu])]) {
      expect(Number.isFinite(value)).toBe(true);
    }
    // The spread is 1e308: far above 1.2, not NaN.
    expect(proximalMu / plan({ dynamic: {}, spikeGuard: {} }, rounds).proximalMu).toBeCloseTo(1.05, 12);
    // Four equal losses are not above twice their mean, though their sum overflows.
    expect(clients.get('a')!.learningRate).toBe(learningRate);
  });
});

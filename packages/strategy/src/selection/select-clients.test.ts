import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleSize, selectClients, type SelectionOptions } from './select-clients.ts';

const ids = (count: number): { clientId: string; numExamples: number }[] =>
  Array.from({ length: count }, (_, index) => ({ clientId: `c${String(index).padStart(3, '0')}`, numExamples: (index + 1) ** 3 }));

/** Runs rounds and returns who was chosen in each. */
function run(rounds: number, options: Omit<SelectionOptions, 'round' | 'history'>): string[][] {
  const history: { round: number; clients: Record<string, { loss: number | null }> }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const chosen = selectClients({ ...options, round, history });
    history.push({ round, clients: Object.fromEntries(chosen.map((id, index) => [id, { loss: index }])) });
  }
  return history.map(({ clients }) => Object.keys(clients));
}

describe('sampleSize', () => {
  it.each([[20, 20], [19, 19], [10, 10], [9, 9]])('vector 2: all of %i clients at fraction 1', (available, size) => {
    expect(sampleSize(available, 1, 2)).toBe(size);
  });

  it.each([[40, 2], [39, 2], [20, 2], [19, 2]])('vector 2: of %i clients at fraction .05, min 2: %i', (available, size) => {
    expect(sampleSize(available, 0.05, 2)).toBe(size);
  });

  it('is not fooled by rounding', () => {
    expect(sampleSize(100, 0.29, 2)).toBe(29);
  });

  it('refuses when fewer are available than needed', () => {
    expect(() => sampleSize(3, 0.1, 4)).toThrow('3 clients are available, a round needs 4');
  });
});

describe('selectClients', () => {
  it('repeats for the same seed and round, in any order of the available clients', () => {
    const options = { available: ids(30), fraction: 0.3, seed: 5, round: 4 };
    const chosen = selectClients(options);
    expect(chosen).toHaveLength(9);
    expect(selectClients({ ...options, available: [...options.available].reverse() })).toEqual(chosen);
    expect(selectClients({ ...options, round: 5 })).not.toEqual(chosen);
    expect(selectClients({ ...options, seed: 6 })).not.toEqual(chosen);
  });

  it('chooses more for stragglers, never more than there are', () => {
    const options = { available: ids(10), fraction: 0.5, seed: 1, round: 1 };
    expect(selectClients({ ...options, overSelection: 0.2 })).toHaveLength(6);
    expect(selectClients({ ...options, overSelection: 5 })).toHaveLength(10);
  });

  it('starves nobody, however the weights are', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 24 }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom('uniform', 'examples', 'loss'),
        fc.integer(),
        (count, fraction, minimum, weightBy, seed) => {
          const minClients = Math.min(count, minimum);
          const turn = Math.ceil(count / sampleSize(count, fraction, minClients));
          const chosen = run(8 * turn, { available: ids(count), fraction, minClients, weightBy, seed });
          for (const { clientId } of ids(count)) {
            let [waited, longest] = [0, 0];
            for (const round of chosen) {
              waited = round.includes(clientId) ? 0 : waited + 1;
              longest = Math.max(longest, waited);
            }
            expect(longest).toBeLessThanOrEqual(3 * turn);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('asks a slow client again and again, and keeps nobody from a turn, when rounds close before the slowest have answered', () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 30 }), fc.double({ min: 0.1, max: 0.9, noNaN: true }), fc.double({ min: 0.1, max: 1, noNaN: true }), fc.integer(), (count, fraction, overSelection, seed) => {
        const needed = sampleSize(count, fraction, 1);
        const turn = Math.ceil(count / needed);
        const history: { round: number; clients: Record<string, { loss: number | null }> }[] = [];
        const waited = new Map(ids(count).map(({ clientId }) => [clientId, 0]));
        for (let round = 1; round <= 8 * turn; round++) {
          const chosen = selectClients({ available: ids(count), fraction, minClients: 1, overSelection, seed, round, history });
          for (const { clientId } of ids(count)) {
            waited.set(clientId, chosen.includes(clientId) ? 0 : waited.get(clientId)! + 1);
          }
          expect(Math.max(...waited.values())).toBeLessThanOrEqual(3 * turn);
          // The first in order of their names are the fastest: the last are never needed, and have no turn to their account.
          history.push({ round, clients: Object.fromEntries(chosen.slice(0, needed).map((id) => [id, { loss: 1 }])) });
        }
      }),
      { numRuns: 60 },
    );
  });

  it('takes heavier clients more often', () => {
    const chosen = run(400, { available: ids(20), fraction: 0.1, weightBy: 'examples', seed: 3 }).flat();
    const times = (id: string): number => chosen.filter((other) => other === id).length;
    expect(times('c019')).toBeGreaterThan(2 * times('c001'));
    expect(times('c000')).toBeGreaterThan(0);
  });

  it('takes a client that joins late within one turn', () => {
    const chosen = run(50, { available: ids(9), fraction: 1 / 3, seed: 8 });
    const history = chosen.map((clients, index) => ({
      round: index + 1,
      clients: Object.fromEntries(clients.map((id) => [id, { loss: 1 }])),
    }));
    expect(selectClients({ available: ids(10), fraction: 0.3, seed: 8, round: 51, history })).toContain('c009');
  });

  it('draws each client independently with method poisson', () => {
    const sizes = Array.from({ length: 400 }, (_, index) =>
      selectClients({ available: ids(50), fraction: 0.1, method: 'poisson', seed: 2, round: index + 1 }).length,
    );
    const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
    const variance = sizes.reduce((sum, size) => sum + (size - mean) ** 2, 0) / sizes.length;
    // Binomial(50, 0.1): mean 5, variance 4.5; bounds are five standard errors wide.
    expect(Math.abs(mean - 5)).toBeLessThan(0.55);
    expect(Math.abs(variance - 4.5)).toBeLessThan(1.7);
  });

  it('refuses duplicates and missing example counts', () => {
    const twice = [{ clientId: 'a' }, { clientId: 'a' }];
    expect(() => selectClients({ available: twice, seed: 1, round: 1 })).toThrow('client a is listed twice');
    expect(() => selectClients({ available: [{ clientId: 'a' }, { clientId: 'b' }], weightBy: 'examples', seed: 1, round: 1 })).toThrow(
      'client a: weighting by examples',
    );
  });
});

it('chooses the given number of clients in place of a fraction, and no more than are available', () => {
  const choose = (count: number): string[] => selectClients({ available: ids(5), count, fraction: 1, minClients: 4, seed: 1, round: 1 });
  expect([0, 1, 3, 5, 9].map((count) => choose(count).length)).toEqual([0, 1, 3, 5, 5]);
});

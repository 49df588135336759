import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertDisjoint, partitionEpisodes, type PartitionScheme } from './partition.ts';

const episodes = (count: number): { episodeIndex: number; length: number; tasks: string[] }[] =>
  Array.from({ length: count }, (_, i) => ({ episodeIndex: i, length: 100 + ((i * 37) % 50), tasks: [`task ${i % 3}`] }));

describe('partitionEpisodes', () => {
  it('splits by number after holding out the last', () => {
    expect(partitionEpisodes(episodes(8), { clients: 3, holdOut: 2 })).toEqual({
      clients: [
        [0, 3],
        [1, 4],
        [2, 5],
      ],
      heldOut: [6, 7],
    });
  });

  it('gives whole tasks to clients', () => {
    const { clients } = partitionEpisodes(episodes(9), { clients: 3, scheme: { kind: 'task' } });
    for (const share of clients) expect(new Set(share.map((episode) => episode % 3)).size).toBe(1);
  });

  it('follows the weights', () => {
    const all = episodes(100);
    const { clients } = partitionEpisodes(all, { clients: 2, scheme: { kind: 'size', weights: [1, 3] } });
    const frames = clients.map((share) => share.reduce((sum, episode) => sum + all[episode]!.length, 0));
    expect(frames[1]! / frames[0]!).toBeCloseTo(3, 0);
  });

  it('makes clients unlike with a small alpha and alike with a large one', () => {
    const shareOfTask0 = (alpha: number): number[] =>
      partitionEpisodes(episodes(300), { clients: 2, scheme: { kind: 'dirichlet', alpha, seed: 'a' } }).clients.map(
        (share) => share.filter((episode) => episode % 3 === 0).length / 100,
      );
    expect(Math.max(...shareOfTask0(1000))).toBeLessThan(0.6);
    expect(Math.max(...shareOfTask0(0.01))).toBeGreaterThan(0.9);
  });

  it('says when episodes are too few', () => {
    expect(() => partitionEpisodes(episodes(3), { clients: 3, holdOut: 1 })).toThrow(
      expect.objectContaining({ code: 'DATASET_EPISODES' }),
    );
  });

  it('loses none, doubles none and leaves nobody empty, whatever the scheme', () => {
    const scheme = fc.oneof(
      fc.constant<PartitionScheme>({ kind: 'modulo' }),
      fc.constant<PartitionScheme>({ kind: 'task' }),
      fc.record({ kind: fc.constant('dirichlet' as const), alpha: fc.double({ min: 1e-9, max: 100, noNaN: true }), seed: fc.string() }),
    );
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(1000), { minLength: 8, maxLength: 60 }),
        fc.integer({ min: 1, max: 5 }),
        fc.nat(3),
        scheme,
        (numbers, clients, holdOut, chosen) => {
          const all = numbers.map((episodeIndex) => ({ episodeIndex, length: 1 + (episodeIndex % 9), tasks: [`${episodeIndex % 4}`] }));
          const partition = partitionEpisodes(all, { clients, holdOut, scheme: chosen });
          expect(partition.clients.every((share) => share.length > 0)).toBe(true);
          expect([...partition.clients.flat(), ...partition.heldOut].sort((a, b) => a - b)).toEqual(numbers.sort((a, b) => a - b));
          expect(partitionEpisodes([...all].reverse(), { clients, holdOut, scheme: chosen })).toEqual(partition);
          expect(partition.heldOut).toEqual(numbers.slice(numbers.length - holdOut));
        },
      ),
    );
  });
});

describe('assertDisjoint', () => {
  it('fails on an episode in two places, and on a lost one', () => {
    expect(() => {
      assertDisjoint({ clients: [[0, 1], [2]], heldOut: [1] }, [0, 1, 2]);
    }).toThrow('Episode 1 is given to client 0 and to the held-out set');
    expect(() => {
      assertDisjoint({ clients: [[0], [2]], heldOut: [] }, [0, 1, 2]);
    }).toThrow('Episode 1 is in no share');
  });
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { degreeFor, MAX_DEGREE, neighbourGraph, sharesNeeded } from './index.ts';

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `client-${index}`);

it('neighbours are neighbours of each other, as many for everybody, the same from the same seed, and connected', () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 60 }), fc.integer({ min: 1, max: 30 }), fc.string(), (count, half, seed) => {
      const members = names(count);
      const degree = Math.min(2 * half, count - 1);
      const graph = neighbourGraph(members, degree, seed);
      for (const [member, neighbours] of graph) {
        expect(new Set(neighbours).size).toBe(degree);
        expect(neighbours).not.toContain(member);
        for (const other of neighbours) expect(graph.get(other)).toContain(member);
      }
      expect(neighbourGraph([...members].reverse(), degree, seed)).toEqual(graph);
      const reached = new Set<string>();
      const visit = (member: string): void => {
        if (reached.has(member)) return;
        reached.add(member);
        graph.get(member)!.forEach(visit);
      };
      visit(members[0]!);
      expect(reached.size).toBe(count);
    }),
    { numRuns: 30 },
  );
  expect(neighbourGraph(names(50), 10, 'a')).not.toEqual(neighbourGraph(names(50), 10, 'b'));
});

it('everybody is a neighbour in small sums, and in large ones their number grows with the logarithm', () => {
  expect([3, 10, 20, 50].map((members) => degreeFor(members))).toEqual([2, 9, 19, 49]);
  const large = [100, 1000, 4096].map((members) => degreeFor(members));
  expect(large).toEqual([54, 72, 82]);
  expect(degreeFor(1000, { colluding: 0.05, dropouts: 0.05 })).toBeLessThan(large[1]!);
  expect(() => degreeFor(4096, { colluding: 0.4, dropouts: 0.4 })).toThrow(`more than ${MAX_DEGREE} neighbours`);
});

it('a secret needs more than half of its holders', () => {
  expect([3, 4, 5, 6, 55].map((holders) => sharesNeeded(holders))).toEqual([2, 3, 3, 4, 28]);
  expect([3, 4, 6, 9].map((holders) => sharesNeeded(holders, 2 / 3))).toEqual([3, 3, 5, 7]);
});

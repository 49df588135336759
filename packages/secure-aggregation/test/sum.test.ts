import { Random } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasEnoughSurvivors, isRecoverable, MASK_BLOCK, recoverMasks, SecureAggregationError, type UnmaskAnswer } from '../src/index.ts';
import { Rehearsal, type Silences } from './rehearsal.ts';

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `c${index}`);
const vectorsOf = (members: readonly string[], length = 7): Map<string, Int32Array> =>
  new Map(members.map((member) => {
    const random = new Random(member);
    return [member, Int32Array.from({ length }, () => random.below(2_000_001) - 1_000_000)];
  }));
const plainSum = (vectors: ReadonlyMap<string, Int32Array>, members: readonly string[]): number[] =>
  [...vectors.values()][0]!.reduce<number[]>((sums, _, index) => [...sums, members.reduce((sum, member) => sum + vectors.get(member)![index]!, 0)], []);
const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, index) => (index === 3 ? byte ^ 1 : byte));
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'nothing was thrown';
  } catch (error) {
    return error instanceof SecureAggregationError ? error.code : String(error);
  }
};

describe('the sum', () => {
  it.each<[string, number, number, Silences]>([
    ['nobody drops out', 5, 4, {}],
    ['of the fewest', 3, 2, {}],
    ['some fall silent before they deal shares', 7, 6, { shares: ['c1', 'c5'] }],
    ['some fall silent before their vectors are in', 7, 6, { vector: ['c0', 'c3'] }],
    ['some fall silent before masks are taken off', 7, 6, { unmask: ['c2', 'c6', 'c4'] }],
    ['some at every stage', 11, 10, { shares: ['c1', 'c7'], vector: ['c0', 'c10'], unmask: ['c3'] }],
    ['in a ring of neighbours, some at every stage', 30, 12, { shares: ['c1'], vector: ['c20', 'c9'], unmask: ['c13', 'c14'] }],
  ])('is exact when %s', (_, count, degree, silences) => {
    const made = new Rehearsal(names(count), degree, silences);
    const vectors = vectorsOf(names(count));
    expect(isRecoverable(made.record, new Set(made.answers().keys()))).toBe(true);
    expect([...made.sum(vectors)]).toEqual(plainSum(vectors, made.survivors));
  });

  it('is exact whoever drops out, as long as enough stay', () => {
    fc.assert(
      fc.property(fc.subarray(names(9), { maxLength: 4 }), fc.infiniteStream(fc.constantFrom('shares', 'vector', 'unmask')), (gone, stages) => {
        const silences: Record<string, string[]> = {};
        for (const member of gone) (silences[stages.next().value as string] ??= []).push(member);
        const made = new Rehearsal(names(9), 8, silences);
        const vectors = vectorsOf(names(9));
        expect([...made.sum(vectors)]).toEqual(plainSum(vectors, made.survivors));
      }),
      { numRuns: 12 },
    );
  });

  it('does not depend on how vectors are cut into pieces', () => {
    const made = new Rehearsal(names(3), 2);
    const [whole, pieces] = [new Int32Array(3 * MASK_BLOCK + 17), new Int32Array(3 * MASK_BLOCK + 17)];
    made.masks('c0').apply(whole);
    const masks = made.masks('c0');
    for (const [start, end] of [[0, 5], [5, MASK_BLOCK], [MASK_BLOCK, pieces.length]] as const) masks.apply(pieces.subarray(start, end));
    expect(Buffer.compare(Buffer.from(whole.buffer), Buffer.from(pieces.buffer))).toBe(0);
  });

  it('is worth asking for only when enough are in it', () => {
    const made = new Rehearsal(names(9), 8, { vector: ['c5', 'c6', 'c7', 'c8'] });
    expect(hasEnoughSurvivors(made.record)).toBe(true);
    expect(hasEnoughSurvivors(new Rehearsal(names(9), 8, { vector: ['c4', 'c5', 'c6', 'c7', 'c8'] }).record)).toBe(false);
    expect(hasEnoughSurvivors(new Rehearsal(names(3), 2, { vector: ['c0'] }).record)).toBe(false);
  });

  it('cannot be had when too few answer, and the answers say so', () => {
    const made = new Rehearsal(names(7), 6, { unmask: ['c0', 'c1', 'c2', 'c3'] });
    expect(isRecoverable(made.record, new Set(made.answers().keys()))).toBe(false);
    expect(codeOf(() => made.sum(vectorsOf(names(7))))).toBe('SECURE_TOO_FEW');
  });

  it('survives wrong shares where there are right ones to spare, and is refused where there are not', () => {
    const made = new Rehearsal(names(7), 6, { vector: ['c6'] });
    const vectors = vectorsOf(names(7));
    const answers = made.answers();
    const wrong = ({ seeds, keys }: UnmaskAnswer): UnmaskAnswer => ({
      seeds: new Map([...seeds].map(([owner, share]) => [owner, flipped(share)])),
      keys: new Map([...keys].map(([owner, share]) => [owner, flipped(share)])),
    });
    answers.set('c0', wrong(answers.get('c0')!));
    expect([...made.sum(vectors, answers)]).toEqual(plainSum(vectors, made.survivors));
    answers.set('c2', wrong(answers.get('c2')!));
    answers.set('c4', wrong(answers.get('c4')!));
    expect(codeOf(() => made.sum(vectors, answers))).toBe('SECURE_SHARE_INVALID');
  });
});

describe('one masked vector', () => {
  it('is noise: its bytes are uniform, whatever the vector, and unrelated to those of the next sum', () => {
    const length = 1 << 18;
    const constant = new Int32Array(length).fill(123_456);
    const [first, second] = [1, 2].map(() => {
      const masked = constant.slice();
      new Rehearsal(names(4), 3).masks('c1').apply(masked);
      return masked;
    }) as [Int32Array, Int32Array];
    const differences = first.map((value, index) => (value - second[index]!) | 0);
    const products = Float64Array.from(first, (value, index) => (value / 2 ** 31) * (second[index]! / 2 ** 31));
    for (const values of [first, second, differences]) {
      const counts = new Float64Array(256);
      for (const byte of new Uint8Array(values.buffer)) counts[byte]!++;
      const expected = (4 * length) / 256;
      const chiSquared = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: 1 in a million of random vectors is above 370 or below 165.
      expect(chiSquared).toBeLessThan(370);
      expect(chiSquared).toBeGreaterThan(165);
      const mean = values.reduce((sum, value) => sum + value / 2 ** 31, 0) / length;
      expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(3 * length));
    }
    const correlation = (3 * products.reduce((sum, value) => sum + value, 0)) / length;
    expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(length));
  });

  it('cannot be had by asking for everything but it: the masks of pairs are left, and of its peers nobody gives the keys', () => {
    const made = new Rehearsal(names(4), 3);
    const alone = { ...made.record, survivors: ['c1'] };
    expect(codeOf(() => recoverMasks(alone, made.answers()))).toBe('SECURE_TOO_FEW');
    for (const member of names(4)) expect(codeOf(() => made.answer(member, { survivors: ['c1'], dropped: ['c0', 'c2', 'c3'] }))).toBe('SECURE_REQUEST_REFUSED');
  });
});

describe('what a member refuses', () => {
  const made = new Rehearsal(names(5), 4, { vector: ['c4'] });
  const refusal = (request: Partial<ReturnType<Rehearsal['request']>>, before: ReturnType<Rehearsal['request']> | null = null): string =>
    codeOf(() => made.answer('c0', { ...made.request('c0'), ...request }, before));

  it('answers the same question again, whatever the order of names', () => {
    const { survivors, dropped } = made.request('c0');
    expect(made.answer('c0', { survivors: [...survivors].reverse(), dropped }, made.request('c0')).seeds.size).toBe(4);
  });

  it('both kinds of share of one peer', () => {
    expect(refusal({ dropped: ['c4', 'c1'] })).toBe('SECURE_REQUEST_REFUSED');
  });

  it('a second set of survivors for the same sum', () => {
    expect(refusal({ survivors: ['c0', 'c1', 'c2'], dropped: ['c3', 'c4'] }, made.request('c0'))).toBe('SECURE_REQUEST_REFUSED');
  });

  it.each([
    ['a sum without itself', { survivors: ['c1', 'c2', 'c3'], dropped: ['c0', 'c4'] }],
    ['a sum of fewer than the threshold', { survivors: ['c0', 'c1'], dropped: ['c2', 'c3', 'c4'] }],
    ['the secrets of a stranger', { survivors: ['c0', 'c1', 'c2', 'x'], dropped: ['c4'] }],
    ['a sum that is silent about a member', { survivors: ['c0', 'c1', 'c2'], dropped: ['c4'] }],
  ])('%s', (_, request) => {
    expect(refusal(request)).toBe('SECURE_REQUEST_REFUSED');
  });
});

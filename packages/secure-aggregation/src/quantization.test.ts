import { InvalidArgumentError } from '@zk0/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { largestError, MAX_CLIENTS, meanInto, quantizeInto, quantizeWeight, stepsOf, totalWeight, type Quantization } from './index.ts';

it('sums of so many extreme values never wrap, and one more step could', () => {
  for (const clients of [1, 2, 3, 100, MAX_CLIENTS]) {
    const steps = stepsOf({ clients });
    expect(clients * steps).toBeLessThan(2 ** 31);
    expect(clients * (steps + 1)).toBeGreaterThanOrEqual(2 ** 31 - clients);
    const into = new Int32Array(2);
    quantizeInto(into, [1e30, -1e30], steps, { clip: 0.1 });
    expect([...into]).toEqual([steps, -steps]);
  }
  for (const clients of [0, 1.5, MAX_CLIENTS + 1]) expect(() => stepsOf({ clients })).toThrow(InvalidArgumentError);
});

const client = fc.record({ values: fc.array(fc.double({ min: -0.02, max: 0.02, noNaN: true }), { minLength: 5, maxLength: 5 }), weight: fc.integer({ min: 1, max: 5000 }) });

it('the mean of quantised vectors is the weighted mean, within the error that is stated', () => {
  fc.assert(
    fc.property(fc.array(client, { minLength: 1, maxLength: 30 }), (clients) => {
      const quantization: Quantization = { clients: clients.length + 3, clip: 0.01, maxWeight: 5000 };
      const sums = new Int32Array(5);
      let total = 0;
      for (const { values, weight } of clients) {
        const steps = quantizeWeight(weight, quantization);
        const quantised = new Int32Array(5);
        quantizeInto(quantised, values, steps, quantization);
        for (const [index, value] of quantised.entries()) sums[index]! += value;
        total += steps;
      }
      const mean = new Float32Array(5);
      meanInto(mean, sums, totalWeight(total, clients.length, quantization), clients.length, quantization);
      const weights = clients.reduce((sum, { weight }) => sum + weight, 0);
      for (const [index, found] of mean.entries()) {
        const exact = clients.reduce((sum, { values, weight }) => sum + weight * Math.max(-0.01, Math.min(0.01, values[index]!)), 0) / weights;
        const rounding = Math.abs(exact) * 2 ** -23;
        expect(Math.abs(found - exact)).toBeLessThanOrEqual(largestError(quantization, clients.map(({ weight }) => weight)) + rounding);
      }
    }),
    { numRuns: 300 },
  );
});

it('with 100 clients of equal weight the error is below 3e-8 of the clipping range', () => {
  expect(largestError({ clients: 100, clip: 1, maxWeight: 1000 }, Array<number>(100).fill(1000))).toBeLessThan(3e-8);
});

it('counts what is clipped, and refuses what is not finite', () => {
  expect(quantizeInto(new Int32Array(3), [0.5, 2, -3], 100, { clip: 1 })).toBe(2);
  for (const value of [NaN, Infinity, -Infinity]) expect(() => quantizeInto(new Int32Array(1), [value], 100, { clip: 1 })).toThrow('element 0 is not finite');
  expect(() => quantizeWeight(0, { clients: 3, clip: 1, maxWeight: 10 })).toThrow(InvalidArgumentError);
  // Nobody who takes part is left out, and nobody weighs more than was agreed on.
  expect(quantizeWeight(1e-12, { clients: 3, clip: 1, maxWeight: 10 })).toBe(1);
  expect(quantizeWeight(1e12, { clients: 3, clip: 1, maxWeight: 10 })).toBe(stepsOf({ clients: 3 }));
});

it('knows sums that nobody who keeps to the range can have made', () => {
  const quantization: Quantization = { clients: 4, clip: 1, maxWeight: 1 };
  expect(() => totalWeight(2, 3, quantization)).toThrow('outside what it can be');
  expect(() => totalWeight(3 * stepsOf(quantization) + 1, 3, quantization)).toThrow('outside what it can be');
  expect(() => { meanInto(new Float32Array(1), Int32Array.of(104), 100, 3, quantization); }).toThrow('element 0 of the sum');
});

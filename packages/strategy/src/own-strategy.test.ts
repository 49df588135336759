import { describe, expect, it } from 'vitest';
import { model, updates, values } from '../test/arrays.ts';
import { aggregateParameters, composeStrategy, heavyBall, type Rule } from './index.ts';
import { strategyContract } from './testing.ts';

/** The README's own strategy: per coordinate, the mean of the clients that move in the majority's direction. */
const majority: Rule = {
  name: 'majority',
  minUpdates: 3,
  combine: () => ({
    kind: 'custom',
    combine(values, global, into, length) {
      for (let i = 0; i < length; i++) {
        const up = values.filter((client) => client[i]! > global[i]!);
        const down = values.filter((client) => client[i]! < global[i]!);
        const side = up.length > down.length ? up : down.length > up.length ? down : [];
        const sum = side.reduce((total, client) => total + client[i]!, 0);
        into[i] = side.length === 0 ? global[i]! : sum / side.length;
      }
    },
  }),
};

strategyContract(
  'an own rule with server momentum',
  () => composeStrategy({ name: 'majority', rule: majority, optimizer: heavyBall(1, 0.9) }),
  { describe, it },
  { workers: 1, weighsByExamples: false },
);

it('an own rule computes what it says', async () => {
  const { parameters } = await aggregateParameters(composeStrategy({ name: 'majority', rule: majority }), {
    global: model([0, 0, 0]),
    updates: updates([model([1, 1, 1]), 1], [model([3, -1, -1]), 1], [model([-9, -2, 0]), 1]),
  });
  expect(values(parameters)).toEqual([[2, -1.5, 0]]);
});

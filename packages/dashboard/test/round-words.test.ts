import { expect, it } from 'vitest';
import { roundWords } from '../page/round-words.ts';
import { History } from '../src/testing/history.ts';

const wordsOf = (history: History): string => roundWords(history.view.rounds[1]!);
const begun = (): History => new History().created().started(['a', 'b', 'c']).configured(1, ['a', 'b', 'c']);

it('says who a round waits for, and how it closed', () => {
  const history = begun().accepted(1, 'a', 1);
  expect(wordsOf(history)).toBe('1 of 3 clients gave an update that counts. It waits for b, c.');
  history.accepted(1, 'b', 1, 500).accepted(1, 'c', 1, 90_000).closed(1);
  expect(wordsOf(history)).toBe('3 of 3 clients gave an update that counts. c was last, 1 min 30 s after the one before.');
});

it('does not count an update that the strategy left out', () => {
  const history = begun().accepted(1, 'a', 1).accepted(1, 'b', 1).accepted(1, 'c', 1).closed(1).aggregated(1, ['b']);
  expect(wordsOf(history)).toMatch(/^2 of 3 clients gave an update that counts, the strategy left 1 out\./);
});

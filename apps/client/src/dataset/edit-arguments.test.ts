import { describe, expect, it } from 'vitest';
import { parseScore, relabelRules, splitRule } from './edit-arguments.ts';

describe('splitRule', () => {
  it('tells shares, episodes and tasks apart', () => {
    expect(splitRule({ part: ['train=0.8', 'test=.2'], seed: '7' })).toEqual({ kind: 'fractions', parts: { train: 0.8, test: 0.2 }, seed: '7' });
    expect(splitRule({ part: ['a=0-2,5', 'b=4'], seed: '0' })).toEqual({ kind: 'episodes', parts: { a: [0, 1, 2, 5], b: [4] } });
    expect(splitRule({ part: [], byTask: true, seed: '0' })).toEqual({ kind: 'task' });
  });

  it.each([
    ['nothing', { part: [] }, 'names no parts'],
    ['a part without a value', { part: ['train'] }, 'is no part'],
    ['shares beside lists', { part: ['a=0.5', 'b=3'] }, 'a=0.5 is a share'],
    ['a name twice', { part: ['a=0.5', 'a=0.5'] }, 'named a'],
    ['tasks beside parts', { part: ['a=0.5'], byTask: true }, 'do not go together'],
  ])('refuses %s', (_, flags, words) => {
    expect(() => splitRule({ seed: '0', ...flags })).toThrow(words);
  });
});

describe('relabelRules', () => {
  it('puts what is said of episodes before what is said of texts', () => {
    expect(relabelRules({ task: ['a=b'], to: ['c'], set: ['0-1=x=y'] })).toEqual([{ episodes: [0, 1], to: 'x=y' }, { task: 'a=b', to: 'c' }]);
  });

  it.each([
    ['nothing', { task: [], to: [], set: [] }, 'no task'],
    ['a text without another', { task: ['a'], to: [], set: [] }, '1 --task and 0 --to'],
    ['episodes without a text', { task: [], to: [], set: ['1-2'] }, 'names no text'],
    ['episodes that are none', { task: [], to: [], set: ['x=y'] }, 'not understood'],
  ])('refuses %s', (_, flags, words) => {
    expect(() => relabelRules(flags)).toThrow(words);
  });
});

describe('parseScore', () => {
  it('takes numbers above 0, up to 1', () => {
    expect(parseScore('.6')).toBe(0.6);
    for (const text of ['0', '1.1', '-1', 'x', '']) expect(() => parseScore(text)).toThrow('is no score');
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatEpisodeList, parseEpisodeList } from './episode-list.ts';
import { parseDatasetUri } from './uri.ts';

describe('parseDatasetUri', () => {
  it.each([
    ['/data/set', { scheme: 'local', path: '/data/set', episodes: null }],
    ['../set?episodes=0-2,7', { scheme: 'local', path: '../set', episodes: [0, 1, 2, 7] }],
    ['local:/data/a b', { scheme: 'local', path: '/data/a b', episodes: null }],
    ['file:///data/a%20b?episodes=1', { scheme: 'local', path: '/data/a b', episodes: [1] }],
    ['odd?name/set', { scheme: 'local', path: 'odd?name/set', episodes: null }],
    ['demo:pick-place', { scheme: 'demo', task: 'pick-place', count: 20, seed: '0', settings: {}, episodes: null }],
    ['demo:stack?episodes=5&seed=7&select=0-1', { scheme: 'demo', task: 'stack', count: 5, seed: '7', settings: {}, episodes: [0, 1] }],
    ['demo:stack?place=left&fps=5', { scheme: 'demo', task: 'stack', count: 20, seed: '0', settings: { fps: '5', place: 'left' }, episodes: null }],
    ['hf:lerobot/svla_so100', { scheme: 'hf', repository: 'lerobot/svla_so100', revision: 'main', episodes: null }],
    ['set?weight=3&episodes=1', { scheme: 'local', path: 'set', episodes: [1], weight: 3 }],
    ['hf:a/b@v2.1?episodes=3', { scheme: 'hf', repository: 'a/b', revision: 'v2.1', episodes: [3] }],
  ])('reads %s', (uri, parsed) => {
    expect(parseDatasetUri(uri)).toEqual(parsed);
  });

  it.each(['', 'ftp:x', 'demo:', 'demo:UPPER', 'demo:a?episodes=0', 'demo:a?episodes=0-3', 'demo:a?x=a b', 'x?episodes=', 'x?episodes=3-1', 'x?y=1', 'x?episodes=99999999', 'x?weight=0', 'x?weight=1.5', 'demo:a?weight=101'])(
    'refuses "%s"',
    (uri) => {
      expect(() => parseDatasetUri(uri)).toThrow(expect.objectContaining({ code: 'DATASET_URI' }));
    },
  );

  it.each(['hf:a', 'hf:a/../b', 'hf:a/b@?episodes=1'])('refuses the hub address "%s"', (uri) => {
    expect(() => parseDatasetUri(uri)).toThrow(expect.objectContaining({ code: 'HUB_ADDRESS' }));
  });
});

describe('parseEpisodeList', () => {
  it('reads back what formatEpisodeList writes', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(200), { minLength: 1 }), (numbers) => {
        expect(parseEpisodeList(formatEpisodeList(numbers))).toEqual(numbers.sort((a, b) => a - b));
      }),
    );
  });
});

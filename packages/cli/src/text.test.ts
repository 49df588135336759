import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration } from './format.ts';
import { nearestName, suggestion } from './nearest-name.ts';
import { table } from './table.ts';
import { fitText, printable, textWidth } from './text-width.ts';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'], [999, '999 B'], [1000, '1.0 kB'], [1234, '1.2 kB'], [99_949, '100 kB'], [999_600, '1.0 MB'], [907e6, '907 MB'], [50e9, '50 GB'],
  ])('%d is %s', (bytes, expected) => {
    expect(formatBytes(bytes)).toBe(expected);
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0.0 s'], [0.44, '0.4 s'], [12.2, '12 s'], [59.7, '1 min 00 s'], [185, '3 min 05 s'], [7380, '2 h 03 min'], [371_000, '4 d 7 h'], [Infinity, '?'],
  ])('%d s is %s', (seconds, expected) => {
    expect(formatDuration(seconds)).toBe(expected);
  });
});

describe('nearestName', () => {
  it.each([
    ['learning-rate', ['rounds', 'learningRate'], 'learningRate'],
    ['staus', ['start', 'status', 'stop'], 'status'],
    ['mu', ['nu', 'mu'], 'mu'],
    ['frobnicate', ['rounds', 'seed'], undefined],
    ['', ['a'], 'a'],
  ])('%s', (name, candidates, expected) => {
    expect(nearestName(name, candidates)).toBe(expected);
  });

  it('always finds a name with one letter changed in four or more', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{4,20}$/), fc.nat(), (name, at) => {
        const i = at % name.length;
        const typo = `${name.slice(0, i)}#${name.slice(i + 1)}`;
        expect(nearestName(typo.replace('#', 'é'), [name])).toBe(name);
      }),
    );
  });

  it('lists a bounded number of names when none is near', () => {
    expect(suggestion('zzzzzzzz', Array.from({ length: 50 }, (_, i) => `name${i}`))).toMatch(/name11, …$/);
  });
});

describe('fitText', () => {
  it('never exceeds the width, and keeps what fits', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 40 }), (raw, width) => {
        const text = printable(raw);
        const fitted = fitText(text, width);
        expect(textWidth(fitted)).toBeLessThanOrEqual(width);
        if (textWidth(text) <= width) expect(fitted).toBe(text);
      }),
    );
  });

  it('counts wide letters twice', () => {
    expect(fitText('日本語', 5)).toBe('日本…');
  });
});

describe('table', () => {
  const columns = [{ header: 'round', align: 'right' }, { header: 'dataset' }, { header: 'loss', align: 'right' }] as const;
  const rows = [['1', 'svla_so101_pickplace', '0.91'], ['12', 'so100\u001b[31m_stack\ning', '0.4']];

  it('aligns columns under a rule and removes control characters', () => {
    expect(table(columns, rows, 80)).toBe(
      [
        'round  dataset               loss',
        '─────  ────────────────────  ────',
        '    1  svla_so101_pickplace  0.91',
        '   12  so100_stack ing        0.4',
      ].join('\n'),
    );
  });

  it('cuts headers and words, never a number; what has no room is left out', () => {
    const loss = [{ header: 'round', align: 'right' }, { header: 'held-out loss', align: 'right' }, { header: 'client loss', align: 'right' }, { header: 'time', align: 'right' }] as const;
    const values = [['12', '2.6931', '3.1234', '1 min 05 s']];
    expect(table(loss, values, 36)).toContain('2.6931');
    expect(table(loss, values, 36)).toContain('1 min 05 s');
    expect(table(loss, values, 24).split('\n')[2]).toBe('  12  2.6931  3.1234');
  });

  it('fits every width that leaves room for the columns', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.string(), { maxLength: 3 })), fc.integer({ min: 16, max: 60 }), (cells, width) => {
        const lines = table(columns, cells, width).split('\n');
        expect(lines).toHaveLength(cells.length + 2);
        expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(width);
      }),
    );
  });
});

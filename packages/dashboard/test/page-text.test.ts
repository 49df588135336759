import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { counted, formatAgo, formatBytes, formatDuration, formatNumber, sentence, visible } from '../page/format.ts';
import { MessageReader } from '../page/messages.ts';

describe('text on the page', () => {
  it('shows what cannot be seen', () => {
    expect(visible('a\u202eb\u0000c\nd')).toBe('a\\u202eb\\u0000c\\u000ad');
    expect(sentence('it broke')).toBe('It broke.');
    expect(sentence('Done!')).toBe('Done!');
  });

  it('has numbers in few digits', () => {
    const numbers = [0, 0.5123456, 0.3, 12.3456, 123.456, 12345.6, 1e-4, 3.21e7, -0.25, undefined, null, NaN].map(formatNumber);
    expect(numbers).toEqual(['0', '0.5123', '0.3', '12.35', '123', '12,346', '1.0e-4', '3.2e7', '-0.25', '–', '–', 'NaN']);
    expect([0, 999, 1000, 96_123_456, 999_600, 1.5e12, undefined].map(formatBytes)).toEqual(['0 B', '999 B', '1.0 kB', '96.1 MB', '1.0 MB', '1.5 TB', '–']);
  });

  it('has times in units that people read', () => {
    expect([400, 59_000, 200_000, 3_540_000, 7_500_000, 270_000_000].map(formatDuration)).toEqual(['0.4 s', '59 s', '3 min 20 s', '59 min', '2 h 5 min', '3 d 3 h']);
    expect([1000, 12_000, 180_000, 7_200_000, 259_200_000].map((ms) => formatAgo(0, ms))).toEqual(['now', '12 s ago', '3 min ago', '2 h ago', '3 d ago']);
    expect([counted(1, 'round'), counted(2, 'round'), counted(1200, 'client')]).toEqual(['1 round', '2 rounds', '1,200 clients']);
  });
});

describe('the reader of the event stream', () => {
  it('gives the same messages however the text is cut', () => {
    const text = ': connected\n\nid: e.1\nevent: snapshot\ndata: {"a":1}\n\n: still here\n\nid: e.2\nevent: changes\ndata: [1\ndata: ,2]\n\n';
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: text.length })), (cuts) => {
        const reader = new MessageReader();
        const places = [0, ...cuts.sort((a, b) => a - b), text.length];
        const messages = places.slice(1).flatMap((to, index) => reader.take(text.slice(places[index], to)));
        expect(messages).toEqual([{ id: 'e.1', event: 'snapshot', data: '{"a":1}' }, { id: 'e.2', event: 'changes', data: '[1\n,2]' }]);
      }),
      { seed: 3, numRuns: 100 },
    );
  });
});

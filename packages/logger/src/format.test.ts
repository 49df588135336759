import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeText, formatJson, formatPlain, formatText } from './format.ts';
import type { LogRecord } from './record.ts';

const record: LogRecord = {
  time: new Date(2025, 8, 20, 16, 23, 45),
  level: 'info',
  process: 'client_0',
  pid: 1234,
  module: 'trainer',
  function: 'fit',
  line: 42,
  message: 'step done',
  fields: { round: 3, loss: 0.41234567, dataset: 'pick place', none: null },
  ramBytes: 812_400_000,
};

describe('formatText', () => {
  it('writes the columns of the run log, then fields', () => {
    expect(formatText(record)).toBe(
      '2025-09-20 16:23:45 | INFO     | client_0 | PID:1234 | trainer:fit:42 - step done' +
        ' | round=3 loss=0.412346 dataset="pick place" none=null ram=812MB',
    );
  });

  it('shows an error with a code as one sentence, any other with the way to it', () => {
    const coded = { name: 'E', message: 'no file', code: 'GONE', stack: 'E: no file\n    at f (/a.ts:1:2)' };
    expect(formatText({ ...record, fields: { error: coded } })).toContain('error=GONE "no file" ram');
    const plain = { name: 'TypeError', message: 'x', stack: 'TypeError: x\n    at f (/a.ts:1:2)\n    at g (/b.ts:3:4)' };
    expect(formatText({ ...record, fields: { error: plain } })).toContain(
      'error=TypeError "x" [f (/a.ts:1:2) < g (/b.ts:3:4)]',
    );
  });

  it('is one printable line whatever a peer sends', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, name, value) => {
        const line = formatText({ ...record, message, fields: { [name]: value, list: [value] } });
        expect(line).not.toMatch(/\p{Cc}|[\u2028\u2029]|\p{Cs}/u);
      }),
    );
  });
});

describe('formatPlain', () => {
  it('is what people read: when, where in the run, what', () => {
    expect(formatPlain(record)).toBe('16:23:45 round 3: step done');
    expect(formatPlain({ ...record, level: 'warn', message: 'round 3 waits' })).toBe('16:23:45 warning: round 3 waits');
    expect(formatPlain({ ...record, level: 'error', message: 'no\nroom', fields: {} })).toBe('16:23:45 error: no\\nroom');
  });
});

describe('escapeText', () => {
  it('shows what it escaped', () => {
    expect(escapeText('a\nb\r\u001b[31m\u202eé\ud800')).toBe('a\\nb\\r\\x1b[31m\\u202eé\\ud800');
  });

  it('keeps letters of every language and emoji', () => {
    expect(escapeText('рука 手 🤖')).toBe('рука 手 🤖');
  });
});

describe('formatJson', () => {
  it('is one JSON line whose fixed keys no field can replace', () => {
    const line = formatJson({ ...record, fields: { level: 'error', message: 'a\nb' } });
    expect(line).not.toContain('\n');
    expect(JSON.parse(line)).toMatchObject({
      level: 'info',
      process: 'client_0',
      message: 'step done',
      fields: { level: 'error', message: 'a\nb' },
      ram_bytes: 812_400_000,
    });
  });
});

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseFrame } from './caller.ts';
import { createLogger, silentLogger } from './logger.ts';
import type { LogRecord } from './record.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'zk0-log-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** A console that remembers. */
function sink(): { write: (text: string) => void; text: () => string } {
  const parts: string[] = [];
  return { write: (text) => void parts.push(text), text: () => parts.join('') };
}

describe('createLogger', () => {
  it('writes the same line to the console and to every file', async () => {
    const console = sink();
    const files = [path.join(folder, 'a.log'), path.join(folder, 'b', 'b.log')];
    const logger = createLogger({ process: 'server', console, files });
    logger.info('hello', { round: 1 });
    await logger.close();
    expect(console.text()).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \| INFO {5}\| server \| PID:\d+ \| /);
    expect(console.text()).toMatch(/ - hello \| round=1 ram=\d+MB\n$/);
    for (const file of files) expect(readFileSync(file, 'utf8')).toBe(console.text());
  });

  it('writes lines of other machines to files and observers, not to the console, without secrets and escaped', async () => {
    const console = sink();
    const file = path.join(folder, 'a.log');
    const records: LogRecord[] = [];
    const logger = createLogger({ process: 'server', console, files: [file], secrets: ['correct horse'], onRecord: (record) => records.push(record) });
    const time = new Date(2026, 0, 31, 12);
    logger.relay({ time, level: 'warn', process: 'client_a', message: 'token=abcdef correct horse\n2026-01-31 12:00:00 | ERROR    | server | forged', fields: { round: 3 } });
    logger.relay({ time, level: 'debug', process: 'client_a', message: 'lighter than the level' });
    await logger.close();
    expect(console.text()).toBe('');
    expect(readFileSync(file, 'utf8')).toBe('2026-01-31 12:00:00 | WARNING  | client_a | remote - token=[redacted] [redacted]\\n2026-01-31 12:00:00 | ERROR    | server | forged | round=3\n');
    expect(records).toMatchObject([{ process: 'client_a', level: 'warn', fields: { round: 3 } }]);
  });

  it('names the caller', () => {
    const records: LogRecord[] = [];
    const logger = createLogger({ process: 'server', onRecord: (record) => records.push(record) });
    function closeRound(): void {
      logger.child({ round: 2 }).warn('late');
    }
    closeRound();
    expect(records[0]).toMatchObject({ module: 'logger.test', function: 'closeRound', level: 'warn', fields: { round: 2 } });
    expect(records[0]?.line).toBeGreaterThan(10);
  });

  it('filters by level, with its own level for the console', () => {
    const console = sink();
    const file = path.join(folder, 'a.log');
    const logger = createLogger({ process: 'server', level: 'debug', consoleLevel: 'warn', console, files: [file] });
    logger.trace('t');
    logger.debug('d');
    logger.warn('w');
    expect(console.text().match(/ - \w/g)).toEqual([' - w']);
    expect(readFileSync(file, 'utf8').match(/ - \w/g)).toEqual([' - d', ' - w']);
    expect(logger.isEnabled('debug')).toBe(true);
    expect(logger.isEnabled('trace')).toBe(false);
  });

  it('writes JSON lines on request, nested children merged', () => {
    const console = sink();
    const logger = createLogger({ process: 'client_1', json: true, console });
    logger.child({ round: 1, step: 1 }).child({ step: 2 }).error('boom', { error: new TypeError('x') });
    expect(JSON.parse(console.text())).toMatchObject({
      process: 'client_1',
      level: 'error',
      message: 'boom',
      fields: { round: 1, step: 2, error: { name: 'TypeError', message: 'x' } },
    });
  });

  it('never writes a secret', () => {
    vi.stubEnv('HF_TOKEN', 'hf_verysecretvalue');
    const console = sink();
    const logger = createLogger({ process: 'server', console, secrets: ['enrol-me-please'] });
    logger.info('push with hf_verysecretvalue', { token: 'abc', note: 'enrol-me-please', error: new Error('hf_verysecretvalue') });
    logger.child({ apiKey: 'k-12345' }).info('x');
    expect(console.text()).not.toMatch(/verysecret|abc|enrol-me|k-12345/);
  });

  it('does not throw for anything a caller passes, nor for a broken console', () => {
    const throwing = new Proxy({}, { ownKeys: () => { throw new Error('no keys'); } });
    const file = path.join(folder, 'a.log');
    const logger = createLogger({
      process: 'server',
      files: [file],
      console: { write: () => { throw new Error('EPIPE'); } },
    });
    logger.info('a', throwing);
    logger.info('b', { get x() { throw new Error('getter'); } });
    logger.info(undefined as unknown as string, null as unknown as Record<string, unknown>);
    logger.info('c', { f: () => 1, s: Symbol('s'), n: NaN, big: 1n, d: new Date(NaN), m: new Map([[1, 2]]) });
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/ - a \|/);
    expect(text).toContain('unreadable_fields=getter');
    expect(text).toMatch(/ - c \|.* big=1 /);
  });

  it('keeps quiet after close', async () => {
    const file = path.join(folder, 'a.log');
    const logger = createLogger({ process: 'server', files: [file] });
    await logger.close();
    logger.info('late');
    await logger.flush();
    expect(readFileSync(file, 'utf8')).toBe('');
  });
});

describe('silentLogger', () => {
  it('is enabled for nothing', () => {
    silentLogger.child({}).error('x');
    expect(silentLogger.isEnabled('error')).toBe(false);
  });
});

describe('parseFrame', () => {
  it.each([
    ['    at Engine.closeRound (file:///app/round-engine.ts:12:5)', { module: 'round-engine', function: 'closeRound', line: 12 }],
    ['    at Engine.open (file:///app/round-engine.ts?again=1:12:5)', { module: 'round-engine', function: 'open', line: 12 }],
    ['    at async Object.run (/app/main.js:3:1)', { module: 'main', function: 'run', line: 3 }],
    ['    at file:///app/main.ts:7:9', { module: 'main', function: '<module>', line: 7 }],
    ['    at new Store (C:\\app\\store.mjs:1:2)', { module: 'store', function: 'Store', line: 1 }],
    ['    at Array.map (<anonymous>)', { module: '?', function: '?', line: 0 }],
  ])('reads %s', (frame, expected) => {
    expect(parseFrame(frame)).toEqual(expected);
  });
});

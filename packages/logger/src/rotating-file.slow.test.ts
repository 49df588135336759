import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogFileError } from './errors.ts';
import { RotatingFile } from './rotating-file.ts';

const run = promisify(execFile);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'zk0-log-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Every line of the log: compressed and live files. */
function allLines(): string[] {
  return readdirSync(folder)
    .flatMap((name) => {
      const bytes = readFileSync(path.join(folder, name));
      return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().split('\n');
    })
    .filter((line) => line !== '');
}

describe('RotatingFile', () => {
  it('has every line on disk at once, without flush or close', () => {
    const file = new RotatingFile(path.join(folder, 'deep', 'er', 'a.log'), { maxBytes: 1e6, keepDays: 10 });
    file.write('one');
    file.write('two');
    expect(readFileSync(file.path, 'utf8')).toBe('one\ntwo\n');
  });

  it('puts a full file aside, compresses it, and loses no line', async () => {
    const file = new RotatingFile(path.join(folder, 'a.log'), { maxBytes: 1000, keepDays: 10 });
    for (let i = 0; i < 200; i++) file.write(`line ${i} ${'x'.repeat(20)}`);
    await file.close();
    const names = readdirSync(folder);
    expect(names.filter((name) => name.endsWith('.gz')).length).toBeGreaterThan(2);
    expect(names.filter((name) => !name.endsWith('.gz'))).toEqual(['a.log']);
    expect(new Set(allLines()).size).toBe(200);
  });

  it('deletes compressed files older than the days kept, and only those of this log', async () => {
    const old = path.join(folder, 'a.log.2020-01-01T00-00-00-000Z-1.gz');
    const other = path.join(folder, 'b.log.2020-01-01T00-00-00-000Z-1.gz');
    const fresh = path.join(folder, 'a.log.2020-01-02T00-00-00-000Z-1.gz');
    for (const name of [old, other, fresh]) writeFileSync(name, '');
    const longAgo = new Date(Date.now() - 11 * 86_400_000);
    for (const name of [old, other]) utimesSync(name, longAgo, longAgo);
    await new RotatingFile(path.join(folder, 'a.log'), { maxBytes: 1000, keepDays: 10 }).close();
    expect(readdirSync(folder).sort()).toEqual(['a.log', path.basename(fresh), path.basename(other)]);
  });

  it('follows the path when somebody else moves or deletes the file', () => {
    const file = new RotatingFile(path.join(folder, 'a.log'), { maxBytes: 1e6, keepDays: 10 });
    file.write('one');
    rmSync(file.path);
    file.write('two');
    expect(readFileSync(file.path, 'utf8')).toBe('two\n');
  });

  it('keeps lines of several rotating processes whole and in the order of each', async () => {
    const script = `
      const { RotatingFile } = await import(${JSON.stringify(new URL('./rotating-file.ts', import.meta.url).href)});
      const file = new RotatingFile(process.argv[1], { maxBytes: 40_000, keepDays: 10 });
      for (let i = 0; i < 1000; i++) file.write(process.argv[2] + ' ' + i + ' ' + 'x'.repeat(80) + '.');
      await file.close();`;
    const file = path.join(folder, 'a.log');
    const flags = ['--conditions=@zk0/source', '--input-type=module', '-e', script];
    await Promise.all(['a', 'b', 'c'].map((name) => run(process.execPath, [...flags, file, name])));
    await new RotatingFile(file, { maxBytes: 1e9, keepDays: 10 }).close();
    const lines = allLines();
    expect(lines.length).toBe(3000);
    expect(lines.every((line) => /^[abc] \d+ x{80}\.$/.test(line))).toBe(true);
    expect(new Set(lines).size).toBe(3000);
  });

  it('survives a full disk', () => {
    symlinkSync('/dev/full', path.join(folder, 'full.log'));
    const file = new RotatingFile(path.join(folder, 'full.log'), { maxBytes: 1e6, keepDays: 10 });
    const said: string[] = [];
    const original = process.stderr.write.bind(process.stderr);
    process.stderr.write = (text: string | Uint8Array): boolean => said.push(String(text)) > 0;
    try {
      file.write('one');
      file.write('two');
    } finally {
      process.stderr.write = original;
    }
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('full.log');
  });

  it('says at once when a file cannot be opened', () => {
    writeFileSync(path.join(folder, 'file'), '');
    expect(() => new RotatingFile(path.join(folder, 'file', 'a.log'), { maxBytes: 1, keepDays: 1 })).toThrow(LogFileError);
  });
});

import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { runningProcess, stopProcess, writeProcessFile } from './process-file.ts';
import { programName } from './program-name.ts';
import { readLog } from './read-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'zk0-background-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a process file', () => {
  it('names the process that wrote it, until it is removed', () => {
    const forget = writeProcessFile(folder, { url: 'http://127.0.0.1:9' });
    expect(runningProcess(folder)).toMatchObject({ pid: process.pid, url: 'http://127.0.0.1:9' });
    forget();
    expect(runningProcess(folder)).toBeUndefined();
  });

  it('is not believed once another process has the number', () => {
    writeProcessFile(folder);
    const file = join(folder, 'process.json');
    const record = JSON.parse(readFileSync(file, 'utf8')) as { birth: string | null };
    if (record.birth === null) return;
    writeFileSync(file, JSON.stringify({ ...record, birth: '1' }));
    expect(runningProcess(folder)).toBeUndefined();
    writeFileSync(file, 'nonsense');
    expect(runningProcess(folder)).toBeUndefined();
  });

  it('is how a process is stopped, and that it is gone is waited for', async () => {
    const child = spawn(process.execPath, ['-e', "let told = 0; process.on('SIGTERM', () => { if (++told === 2) process.exit(); }); console.log('up'); setInterval(() => {}, 1000)"]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const record = { pid: child.pid!, started: new Date().toISOString(), birth: null };
    expect(await stopProcess(record, 50)).toBe(false);
    expect(await stopProcess(record, 10_000)).toBe(true);
  });
});

describe('reading a log', () => {
  const file = join(folder, 'a.log');
  const text = async (lines: number): Promise<string> => {
    let all = '';
    for await (const chunk of readLog(file, { lines, follow: false, signal: new AbortController().signal })) all += chunk.toString();
    return all;
  };

  it('begins with the last lines, however long they are', async () => {
    const long = 'x'.repeat(100_000);
    writeFileSync(file, `first\n${long}\nlast\n`);
    expect(await text(1)).toBe('last\n');
    expect(await text(2)).toBe(`${long}\nlast\n`);
    expect(await text(3)).toBe(`first\n${long}\nlast\n`);
    expect(await text(9)).toBe(`first\n${long}\nlast\n`);
    expect(await text(0)).toBe(`first\n${long}\nlast\n`);
  });

  it('goes on with what is added, also when the file was put aside', async () => {
    writeFileSync(file, 'old\n');
    const stop = new AbortController();
    const read: string[] = [];
    const reading = (async () => {
      for await (const chunk of readLog(file, { lines: 0, follow: true, signal: stop.signal })) read.push(chunk.toString());
    })();
    const until = async (expected: string): Promise<void> => {
      while (!read.join('').endsWith(expected)) await sleep(20);
    };
    await until('old\n');
    appendFileSync(file, 'more\n');
    await until('more\n');
    writeFileSync(file, 'new\n');
    await until('new\n');
    stop.abort();
    await reading;
    expect(read.join('')).toBe('old\nmore\nnew\n');
    expect(existsSync(file)).toBe(true);
  });
});

describe('how hints name a program', () => {
  it.each([
    [{}, '/usr/bin/zk0-server', 'zk0-server'],
    [{ ZK0_PROGRAM: 'npm start --' }, '/repository/apps/server/src/main.ts', 'npm start --'],
    [{ npm_command: 'exec' }, '/home/me/.npm/_npx/1234/node_modules/@zk0/server/dist/main.js', 'npx @zk0/server'],
  ])('%j %s', (env, script, name) => {
    expect(programName('zk0-server', env, script)).toBe(name);
  });
});

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterAll(home.remove);

it('compares policies by virtual clients, twice to the same bytes, and keeps what is there', { timeout: 180_000 }, async () => {
  const [plain, buffered] = [join(home.path, 'plain.yaml'), join(home.path, 'buffered.yaml')];
  writeFileSync(plain, 'rounds: 3\nseed: 1\n');
  writeFileSync(buffered, 'rounds: 3\nseed: 1\nstrategy: { name: fedbuff, bufferSize: 5 }\n');
  const simulate = (out: string, ...more: string[]): ReturnType<typeof runProgram> =>
    runProgram('server', ['simulate', '--virtual', '--clients', '20', '--config', plain, '--compare', buffered, '--out', join(home.path, out), ...more], home.path);
  const { code, stdout, stderr } = await simulate('one');
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/plain[\s\S]*buffered[\s\S]*figures .*virtual\.json/);
  expect(existsSync(join(home.path, 'one', 'virtual.png'))).toBe(true);
  expect((await simulate('two')).code).toBe(0);
  const figures = (out: string): Buffer => readFileSync(join(home.path, out, 'virtual.json'));
  expect(figures('two').equals(figures('one'))).toBe(true);

  const again = await simulate('two');
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('holds a simulation already')]);
  const foreign = await simulate('three', '--threads', '2');
  expect([foreign.code, foreign.stderr]).toEqual([2, expect.stringContaining('--threads has no effect on virtual clients')]);
});

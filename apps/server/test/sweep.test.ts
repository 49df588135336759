import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteStores } from '@zk0/federation';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, runProgram, startProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

const file = join(home.path, 'try.yaml');
const out = join(home.path, 'outputs', 'try');

function write(strategies: string, seeds = '[1]'): void {
  writeFileSync(
    file,
    `
simulation: { clients: 1, dataset: demo:cube-to-bowl?episodes=3, holdOut: 1 }
settings: { rounds: 1, policy: tiny, localSteps: 1, batchSize: 2, evaluateBatches: 1 }
grid: { strategy.name: ${strategies} }
seeds: ${seeds}
`,
  );
}

function folder(strategy: string): string {
  return readdirSync(out).find((name) => name.startsWith(`strategy.name=${strategy}_`)) ?? 'none';
}

it('a sweep that was killed goes on: finished runs stay, one that was broken off starts again, a changed file is noticed', { timeout: 300_000 }, async () => {
  write('[fedavg, fedprox]');
  const dry = await runProgram('server', ['sweep', file, '--dry-run'], home.path);
  expect(dry.code, dry.stderr).toBe(0);
  expect(dry.stdout).toMatch(/2 of 2 runs are to be done, 2 optimiser steps/);
  expect(existsSync(out)).toBe(false);

  const first = startProgram('server', ['sweep', file], home.path);
  await first.until(/fedavg seed=1: finished/);
  await expect.poll(() => existsSync(join(out, folder('fedprox'), '.server', 'journal.sqlite')), { timeout: 60_000 }).toBe(true);
  const second = await runProgram('server', ['sweep', file], home.path);
  expect(second.stderr).toMatch(/another sweep \(PID \d+\) works in/);
  first.child.kill('SIGKILL');
  await first.exited;
  const before = { settings: statSync(join(out, folder('fedavg'), 'settings.json')).mtimeMs, summary: readFileSync(join(out, 'summary.csv'), 'utf8') };
  expect(before.summary).toMatch(/,finished,fedavg,1,.*\r\n.*,(broken off|to do),fedprox,1,/);

  write('[fedprox, fedavgm]');
  const third = await runProgram('server', ['sweep', file, '--max-parallel', '2'], home.path);
  expect(third.code, third.stderr).toBe(0);
  expect(third.stderr).toMatch(/try\.yaml has changed: 1 of its runs are new, 1 of an earlier form are no longer in it/);
  expect(third.stdout).toMatch(/fedprox +1 +finished +\d\.\d{4}/);
  expect(third.stdout).not.toMatch(/fedavg /);

  write('[fedavg, fedprox, fedavgm]');
  const fourth = await runProgram('server', ['sweep', file, '--export', 'csv'], home.path);
  expect(fourth.stderr).toMatch(/3 runs, 3 of them finished before/);
  expect(fourth.stdout.split('\r\n')).toHaveLength(5);
  expect(statSync(join(out, folder('fedavg'), 'settings.json')).mtimeMs).toBe(before.settings);
  // The simulation of the sweep that was killed is gone: nothing holds its ledger.
  openSqliteStores(join(out, folder('fedprox'), '.server', 'journal.sqlite')).close();

  const compared = await runProgram('server', ['compare', join(out, folder('fedavg')), join(out, folder('fedprox'))], home.path);
  expect(compared.stdout).toMatch(/fedprox +1 +1/);
});

it('a run that fails is said, and tried again by the next start', { timeout: 120_000 }, async () => {
  const broken = join(home.path, 'broken.yaml');
  writeFileSync(broken, 'simulation: { clients: 1, dataset: /nowhere }\nsettings: { rounds: 1, policy: tiny }\n');
  for (const start of [1, 2]) {
    const { code, stderr } = await runProgram('server', ['sweep', broken], home.path);
    expect(code, `start ${start}`).toBe(1);
    expect(stderr).toMatch(/error: 1 of 1 runs failed, the first is run: .*nowhere.*console\.log/);
  }
  const typo = await runProgram('server', ['sweep', broken, '--out', home.path], home.path);
  expect(typo.stderr).toMatch(/holds files that are not of a sweep/);
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compareText } from '../commands/compare.ts';
import { configFile, federatedMetrics } from '../outputs/reports.ts';
import { exampleInfo, exampleRounds } from '../outputs/testing.ts';
import { groupRuns, readRun } from './compare-runs.ts';

const out = mkdtempSync(join(tmpdir(), 'zk0-compare-'));
afterAll(() => {
  rmSync(out, { recursive: true, force: true });
});

/** The files of a run whose last held-out loss is as given. */
function left(runId: string, strategy: string, seed: number, final: number): string {
  const directory = join(out, runId);
  mkdirSync(join(directory, 'server'), { recursive: true });
  const config = { rounds: 3, seed, strategy: { name: strategy }, heldOut: [`demo:stack-cubes?episodes=5&seed=${seed}`] };
  const rounds = exampleRounds(2, 3);
  const last = rounds.at(-1)!;
  writeFileSync(join(directory, 'config.json'), JSON.stringify(configFile({ ...exampleInfo, runId, config })));
  writeFileSync(join(directory, 'server', 'federated_metrics.json'), JSON.stringify(federatedMetrics([...rounds.slice(0, -1), { ...last, server: { ...last.server!, policyLoss: final } }])));
  return directory;
}

const runs = [left('a1', 'fedavg', 1, 0.4), left('p1', 'fedprox', 1, 0.2), left('p2', 'fedprox', 2, 0.3), left('p3', 'fedprox', 3, 0.25)];

describe('comparing runs', () => {
  it('reads what a run leaves', () => {
    expect(readRun(runs[0]!)).toMatchObject({ run: 'a1', strategy: 'fedavg', seed: 1, rounds: 3, initial: 1, final: 0.4, best: 0.25, bestRound: 2, clientLoss: 0.175, seconds: 28 });
  });

  it('takes runs that differ in their seed alone for repetitions, with Student’s interval, the lowest loss first', () => {
    const groups = groupRuns(runs.map(readRun));
    expect(groups.map((group) => group.runs.map(({ run }) => run))).toEqual([['p1', 'p2', 'p3'], ['a1']]);
    expect(groups[0]!.final!.mean).toBeCloseTo(0.25, 12);
    // t(0.975, 2) · 0.05 / √3
    expect(groups[0]!.final!.half).toBeCloseTo(0.12421, 4);
    expect(groups[1]!.final).toEqual({ mean: 0.4, half: null });
  });

  it('prints a table, or CSV, by folder or by id', () => {
    const text = compareText(['a1', runs[1]!, 'p2'], { out });
    expect(text).toMatch(/run +strategy +seed/);
    expect(text).toContain('fedprox, 2 seeds (1, 2): final held-out loss 0.2500 ± 0.6353 (95 % interval)');
    expect(compareText(['a1'], { out, export: 'csv' })).toBe('run,strategy,seed,rounds,initial,final,best,bestRound,clientLoss,seconds\r\na1,fedavg,1,3,1,0.4,0.25,2,0.175,28\r\n');
    expect(() => compareText(['a1'], { out, export: 'xls' })).toThrow('--export "xls" is not known');
  });

  it('says which file cannot be used', () => {
    expect(() => compareText(['none'], { out })).toThrow(expect.objectContaining({ code: 'RUN_FILES_UNREADABLE' }) as Error);
    const broken = left('broken', 'fedavg', 1, 1);
    writeFileSync(join(broken, 'config.json'), '{"run_id": 3}');
    expect(() => readRun(broken)).toThrow('config.json cannot be used: it has not the form that zk0 writes');
  });
});

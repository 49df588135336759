import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { reportOf } from '@zk0/rollout';
import { RunPaths } from '../outputs/paths.ts';
import { clipOf, clipsOf } from './filmed-trials.ts';
import { recordSuccess, successesOf } from './success-record.ts';

const root = mkdtempSync(join(tmpdir(), 'zk0-success-'));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});
const report = reportOf([], 0, '7');

describe('filmed trials', () => {
  it('are those in the run’s folder of clips, successes first, and nothing else that lies there', () => {
    const run = join(root, 'filmed');
    const folder = new RunPaths(run).clips('checkpoint_round_4');
    mkdirSync(folder, { recursive: true });
    for (const name of ['trial-001-left-not-grasped.mp4', 'trial-007-middle-success.mp4', 'trial-009-success.mp4', 'notes.txt', 'trial-1-success.mp4.tmp', 'x-success.mp4']) writeFileSync(join(folder, name), 'x');
    expect(clipsOf(run, 'checkpoint_round_4')).toEqual([
      { file: 'trial-007-middle-success.mp4', outcome: 'success', place: 'middle' },
      { file: 'trial-009-success.mp4', outcome: 'success', place: null },
      { file: 'trial-001-left-not-grasped.mp4', outcome: 'not-grasped', place: 'left' },
    ]);
    expect(clipsOf(run, 'checkpoint_round_8')).toEqual([]);
    expect(clipOf(run, 'checkpoint_round_4', 'trial-009-success.mp4')).toBe(join(folder, 'trial-009-success.mp4'));
    for (const [checkpoint, file] of [['checkpoint_round_4', 'notes.txt'], ['checkpoint_round_4', 'trial-010-success.mp4'], ['..', 'trial-009-success.mp4'], ['checkpoint_round_4', '../checkpoint_round_4/trial-009-success.mp4'], ['checkpoint_round_4', 'trial-009-success.mp4\0']] as const) {
      expect(clipOf(run, checkpoint, file), `${checkpoint} ${file}`).toBeNull();
    }
  });
});

describe('how often a checkpoint did its task', () => {
  it('is kept with its run, the newest of each checkpoint', () => {
    const run = join(root, 'run');
    const checkpoint = join(run, 'models', 'checkpoint_round_4');
    mkdirSync(checkpoint, { recursive: true });
    mkdirSync(join(run, 'server'));
    writeFileSync(join(run, 'config.json'), '{}');
    const tried = { ...report, trials: 10, successes: 2, rate: 0.2, low: 0.1, high: 0.5 };
    recordSuccess(checkpoint, ['demo:lift-can'], tried);
    recordSuccess(`${checkpoint}/`, ['demo:lift-can'], { ...tried, successes: 3, rate: 0.3 });
    recordSuccess(`local:${join(run, 'models', 'checkpoint_best')}`, ['demo:lift-can'], tried);
    expect(successesOf(run)).toEqual([
      { checkpoint: 'checkpoint_round_4', tasks: ['demo:lift-can'], trials: 10, successes: 3, rate: 0.3, low: 0.1, high: 0.5, clips: [] },
      { checkpoint: 'checkpoint_best', tasks: ['demo:lift-can'], trials: 10, successes: 2, rate: 0.2, low: 0.1, high: 0.5, clips: [] },
    ]);
    expect(JSON.parse(readFileSync(join(run, 'server', 'success.json'), 'utf8'))).toMatchObject([{ seed: '7' }, { seed: '7' }]);
    writeFileSync(join(run, 'server', 'success.json'), '[{"checkpoint":');
    expect(successesOf(run)).toEqual([]);
  });

  it('is kept nowhere for what is of no run', () => {
    const checkpoint = join(root, 'alone', 'checkpoint');
    mkdirSync(checkpoint, { recursive: true });
    for (const policy of [checkpoint, 'hf:owner/name', 'small']) recordSuccess(policy, [], report);
    expect(existsSync(join(root, 'alone', 'server'))).toBe(false);
  });
});

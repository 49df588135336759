import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RolloutReport } from '@zk0/rollout';
import { afterAll, describe, expect, it } from 'vitest';
import { runProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterAll(home.remove);

type Reported = RolloutReport & { readonly baselines: { readonly motionless: RolloutReport; readonly replay: RolloutReport } };

const DATASET = 'demo:push-block-left?episodes=1&seed=1&fps=5';

describe('train and rollout', { timeout: 180_000 }, () => {
  const out = join(home.path, 'alone');
  const training = (steps: number, ...more: string[]): string[] => [
    ...['train', '--dataset', DATASET, '--policy', 'tiny', '--steps', String(steps), '--round-steps', '2'],
    ...['--device', 'cpu', '--threads', '1', '--out', out, ...more],
  ];

  it('trains on one machine, and does nothing a second time', async () => {
    const first = await runProgram('client', training(4), home.path);
    expect(first.stderr).not.toContain('error');
    expect(existsSync(join(out, 'checkpoint', 'model.safetensors'))).toBe(true);
    const weights = readFileSync(join(out, 'checkpoint', 'model.safetensors'));
    const again = await runProgram('client', training(4), home.path);
    expect(again.code).toBe(0);
    expect(readFileSync(join(out, 'checkpoint', 'model.safetensors')).equals(weights)).toBe(true);
    // Other settings are another training.
    await runProgram('client', training(4, '--seed', '7'), home.path);
    expect(readFileSync(join(out, 'checkpoint', 'model.safetensors')).equals(weights)).toBe(false);
  });

  it('tries the checkpoint, beside what needs no learning', async () => {
    const video = join(home.path, 'clips');
    const args = ['rollout', '--policy', join(out, 'checkpoint'), '--task', 'demo:push-block-left?fps=5', '--trials', '4', '--seed', '3'];
    const { code, stdout } = await runProgram('server', [...args, '--device', 'cpu', '--threads', '1', '--video', video, '--json'], home.path);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as Reported;
    expect(report).toMatchObject({ trials: 4, requested: 4, seed: '3' });
    expect(report.results.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(report.baselines.motionless).toMatchObject({ successes: 0, trials: 4, failures: { 'not-reached': 4 } });
    expect(report.baselines.replay.trials).toBe(4);
    const clips = readdirSync(video);
    expect(clips.length).toBeGreaterThan(0);
    expect(readFileSync(join(video, clips[0]!)).subarray(4, 8).toString()).toBe('ftyp');
  });

  it('says what does not fit', async () => {
    const args = ['rollout', '--policy', join(out, 'checkpoint'), '--task', 'demo:push-block-left', '--trials', '1'];
    const { code, stderr } = await runProgram('server', [...args, '--device', 'cpu', '--rename', 'observation.images.top=front'], home.path);
    expect(code).toBe(1);
    expect(stderr).toMatch(/observation\.images\.top.*front/);
  });
});

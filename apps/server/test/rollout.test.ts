import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RolloutReport } from '@zk0/rollout';
import { afterAll, describe, expect, it } from 'vitest';
import { runProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterAll(home.remove);

type Reported = RolloutReport & { readonly baselines: { readonly motionless: RolloutReport; readonly replay: RolloutReport } };

const DATASET = 'demo:push-block-left?episodes=1&seed=1&fps=5';

describe('a run that is tried as it goes', { timeout: 240_000 }, () => {
  const flags = ['simulate', '--clients', '2', '--dataset', DATASET.replace('episodes=1', 'episodes=2'), '--hold-out', '0', '--policy', 'tiny', '--rounds', '3', '--local-steps', '1', '--batch-size', '2', '--threads', '1'];

  it('says by round how often its policy does the task', async () => {
    const out = join(home.path, 'tried');
    const tried = ['--rollout', 'demo:push-block-left?fps=5', '--rollout-every', '2', '--rollout-trials', '2'];
    const { code, stdout, stderr } = await runProgram('server', [...flags, ...tried, '--out', out], home.path);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/round 2: success 0 % \(0 – 66\) in 2 trials/);
    expect(stdout).toMatch(/success +0 % \(0 – 66\) of 2 trials in round 3/);
    const history = JSON.parse(readFileSync(join(out, 'server', 'success_history.json'), 'utf8')) as unknown;
    const found = { successes: 0, trials: 2, seed: '0', tasks: ['demo:push-block-left?fps=5'] };
    expect(history).toMatchObject([{ round: 2, ...found }, { round: 3, ...found }]);
    const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { type: string; round: number });
    expect(lines.filter(({ type }) => type === 'success').map(({ round }) => round)).toEqual([2, 3]);
    expect(existsSync(join(out, 'server', 'success_chart.png'))).toBe(true);
    for (const round of [2, 3]) {
      const checkpoint = join(out, 'models', `checkpoint_round_${round}`);
      expect(readFileSync(join(checkpoint, 'README.md'), 'utf8')).toContain('Tried in a simulated world');
      expect(JSON.parse(readFileSync(join(checkpoint, 'success.json'), 'utf8'))).toMatchObject({ round, ...found });
      // None succeeds: one failure is filmed.
      expect(readdirSync(join(out, 'clips', `checkpoint_round_${round}`))).toEqual([expect.stringMatching(/^trial-\d+.*\.mp4$/)]);
    }
  });

  it('is refused before it starts where the task does not exist, or none is named', async () => {
    const nowhere = await runProgram('server', [...flags, '--rollout', 'demo:fly', '--out', join(home.path, 'nowhere')], home.path);
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toContain('fly');
    const none = await runProgram('server', [...flags, '--rollout-every', '2', '--out', join(home.path, 'nowhere')], home.path);
    expect(none.code).toBe(2);
    expect(none.stderr).toContain('rollouts.tasks');
    expect(existsSync(join(home.path, 'nowhere'))).toBe(false);
  });
});

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
    const { code, stdout } = await runProgram('server', [...args, '--device', 'cpu', '--threads', '1', '--video', video, '--clips', '1', '--json'], home.path);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as Reported;
    expect(report).toMatchObject({ trials: 4, requested: 4, seed: '3' });
    expect(report.results.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(report.baselines.motionless).toMatchObject({ successes: 0, trials: 4, failures: { 'not-reached': 4 } });
    expect(report.baselines.replay.trials).toBe(4);
    const clips = readdirSync(video);
    // One success and one failure, as far as there are any.
    expect(clips).toHaveLength(new Set(report.results.map(({ success }) => success)).size);
    expect(readFileSync(join(video, clips[0]!)).subarray(4, 8).toString()).toBe('ftyp');
  });

  it("tries a policy at LeRobot's task of four cubes, and says with the numbers what was assumed", async () => {
    const checkpoint = join(home.path, 'lerobot', 'checkpoint');
    const small = 'fps=30&width=64&height=48';
    const trained = await runProgram('client', ['train', '--dataset', `demo:push-block-left?episodes=1&seed=1&${small}`, '--policy', 'tiny', '--steps', '1', '--round-steps', '1', '--device', 'cpu', '--threads', '1', '--out', join(home.path, 'lerobot')], home.path);
    expect(trained.code, trained.stderr).toBe(0);
    const args = ['rollout', '--policy', checkpoint, '--task', 'envhub:so101-tabletop-mujoco?seconds=1&width=64&height=48', '--trials', '1', '--device', 'cpu', '--threads', '1', '--no-baselines', '--json'];
    const misfit = await runProgram('server', args, home.path);
    expect(misfit.code).toBe(1);
    expect(misfit.stderr).toContain('--rename observation.images.front=observation.images.top');
    const { code, stdout, stderr } = await runProgram('server', [...args, '--rename', 'observation.images.front=observation.images.top'], home.path);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      notes: expect.arrayContaining([expect.stringMatching(/re-creation/), expect.stringMatching(/^Assumed/)]) as unknown,
      trials: 1,
      successes: 0,
      meanScore: 0,
      results: [{ world: 'envhub:so101-tabletop-mujoco', steps: 30, score: 0 }],
    });
    // Trained at 5 frames a second.
    const slow = await runProgram('server', ['rollout', '--policy', join(out, 'checkpoint'), ...args.slice(3), '--rename', 'observation.images.front=observation.images.top'], home.path);
    expect(slow.code).toBe(1);
    expect(slow.stderr).toMatch(/5 frames a second.*30 actions a second/);
  });

  it('says what does not fit', async () => {
    const args = ['rollout', '--policy', join(out, 'checkpoint'), '--task', 'demo:push-block-left', '--trials', '1'];
    const { code, stderr } = await runProgram('server', [...args, '--device', 'cpu', '--rename', 'observation.images.top=front'], home.path);
    expect(code).toBe(1);
    expect(stderr).toMatch(/observation\.images\.top.*front/);
  });
});

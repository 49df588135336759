import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram, sharedData, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
const at = (...parts: string[]): string => join(home.path, ...parts);

beforeAll(() => {
  mkdirSync(at('empty'));
  mkdirSync(at('no-weights'));
  writeFileSync(at('no-weights', 'config.json'), JSON.stringify({ type: 'smolvla' }));
  writeFileSync(at('a-file'), '');
  writeFileSync(at('typo.yaml'), 'rouns: 3\n');
});
afterAll(home.remove);

/** Command line → what its one line must say. */
const cases: [name: string, app: 'server' | 'client', args: () => string[], says: RegExp][] = [
  ['a dataset path that does not exist', 'server', () => ['simulate', '--dataset', at('nowhere')], /nowhere/],
  ['a folder that is no LeRobot dataset', 'server', () => ['simulate', '--dataset', at('empty')], /empty/],
  ['no rounds', 'server', () => ['simulate', '--rounds', '0'], /--rounds/],
  ['an unknown flag', 'server', () => ['simulate', '--round', '3'], /--rounds/],
  ['an unknown setting', 'server', () => ['simulate', '--set', 'rouns=3'], /rouns.*rounds/],
  ['an unknown key in a file', 'server', () => ['simulate', '--config', at('typo.yaml')], /typo\.yaml.*rouns.*rounds/],
  ['an unknown command', 'server', () => ['simulat'], /simulate/],
  ['an unwritable output directory', 'server', () => ['simulate', '--out', at('a-file', 'out')], /a-file/],
  ['an unknown strategy', 'server', () => ['simulate', '--strategy', 'fedprocks'], /fedprocks/],
  ['a policy directory without weights', 'server', () => ['simulate', '--policy', at('no-weights')], /no-weights/],
  ['a device that is not there', 'server', () => ['simulate', '--device', 'cuda'], /cuda/],
  ['a strategy without what it needs', 'server', () => ['simulate', '--strategy', 'dp-fixed'], /dp-fixed: clippingNorm is missing; it must be a number.*Its options are .*clippingNorm/],
  ['a port that is none', 'server', () => ['start', '--port', '99999'], /--port must be at most 65535/],
  ['an output directory where nothing can be made', 'server', () => ['start', '--port', '0', '--out', '/proc/zk0'], /cannot write to \/proc\/zk0/],
  ['a state directory where nothing can be made', 'client', () => ['start', '--server', 'http://127.0.0.1:9', '--dataset', 'x', '--state', '/proc/zk0'], /cannot write to \/proc\/zk0/],
  ['no client at all', 'server', () => ['simulate', '--clients', '0'], /--clients/],
  ['a roll-out without trials', 'server', () => ['rollout', '--policy', 'tiny', '--task', 'demo:lift-can', '--trials', '0'], /--trials is 0/],
  ['a roll-out without a task', 'server', () => ['rollout', '--policy', 'tiny'], /--task/],
  ['a roll-out at a task that does not exist', 'server', () => ['rollout', '--policy', 'tiny', '--task', 'demo:juggle'], /juggle.*cube-to-bowl/],
  ['a roll-out at a dataset', 'server', () => ['rollout', '--policy', 'tiny', '--task', at('empty')], /no task of a simulated world/],
  ['a roll-out with a seed that is no number', 'server', () => ['rollout', '--policy', 'tiny', '--task', 'demo:lift-can', '--seed', 'x'], /--seed is x/],
  ['a roll-out at an environment that is not here', 'server', () => ['rollout', '--policy', 'tiny', '--task', 'envhub:cartpole-env'], /cartpole-env.*so101-tabletop-mujoco/],
  ['a roll-out at a task with the settings of recordings', 'server', () => ['rollout', '--policy', 'tiny', '--task', 'demo:lift-can?episodes=3'], /episodes=.*recordings/],
  ['clips where nothing can be made', 'server', () => ['rollout', '--policy', 'tiny', '--task', 'demo:lift-can', '--video', '/proc/zk0'], /cannot write to \/proc\/zk0.*--video/],
  ['a roll-out of a policy that was never trained', 'server', () => ['rollout', '--policy', 'tiny', '--task', 'demo:lift-can'], /not been trained/],
  ['a demo of no rounds', 'server', () => ['demo', '--rounds', '0'], /--rounds/],
  ['training without a dataset', 'client', () => ['train', '--steps', '1', '--out', at('train')], /--dataset/],
  ['training without steps', 'client', () => ['train', '--dataset', 'demo:lift-can?episodes=1', '--steps', '0', '--policy', 'tiny', '--out', at('train')], /steps is 0/],
  ['a server that is not there', 'server', () => ['status', '--server', 'http://127.0.0.1:9'], /127\.0\.0\.1:9/],
  ['a client without a dataset', 'client', () => ['start', '--server', 'http://127.0.0.1:9'], /--dataset/],
  ['a client with an unknown cache mode', 'client', () => ['start', '--server', 'http://127.0.0.1:9', '--dataset', 'x', '--cache', 'yes'], /--cache yes/],
  ['a dataset to inspect that is not there', 'client', () => ['dataset', 'inspect', at('nowhere')], /nowhere/],
];

// A process start is a second on a quiet machine; a busy one, where several start at once, must not fail the test.
const patience = { timeout: 480_000 };

describe('bad input', patience, () => {
  it.concurrent.each(cases)('%s: one line, an exit code, no stack', async (_name, app, args, says) => {
    const { code, stderr } = await runProgram(app, args(), home.path);
    expect(code).toBeGreaterThan(0);
    const errors = stderr.split('\n').filter((line) => line.startsWith('error: '));
    expect(errors, stderr).toHaveLength(1);
    expect(errors[0]).toMatch(says);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it.concurrent.each([
    ['an unknown strategy', ['simulate', '--strategy', 'fedprocks']],
    ['a strategy without what it needs', ['simulate', '--strategy', 'dp-fixed']],
    ['a number that is too large', ['start', '--port', '99999']],
    ['a file of settings that is not there', ['start', '--config', '/nowhere.yaml']],
  ])('%s is an error of the configuration: exit code 2, in words of our own', async (_name, args) => {
    const { code, stderr } = await runProgram('server', args, home.path);
    expect(code).toBe(2);
    expect(stderr).not.toMatch(/expected|received|Invalid input|ENOENT|→ at/);
  });

  it('a taken port', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const { code, stderr } = await runProgram('server', ['start', '--port', String(port), '--out', at('taken')], home.path);
    taken.close();
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(String(port));
  });

  it('a run of which no update counts: it has failed, and says why', async () => {
    const data = ['--dataset', 'demo:cube-to-bowl?episodes=1&seed=1', '--held-out', 'demo:lift-can?episodes=1&seed=1'];
    const args = ['simulate', '--clients', '1', '--rounds', '1', '--local-steps', '1', '--batch-size', '1', '--policy', 'tiny', '--set', 'evaluateBatches=1', ...data];
    const { code, stderr } = await runProgram('server', [...args, '--strategy', 'fedavg', '--set', 'strategy.guards.maxUpdateNorm=1e-9', '--out', at('no-progress')], home.path);
    expect(code).toBe(1);
    expect(stderr).toMatch(/error: the run failed: the only round got too few updates \(client 0: .*norm/);
  });

  it('a stack with --verbose', async () => {
    const { stderr } = await runProgram('server', ['simulate', '--verbose', '--dataset', at('nowhere')], home.path);
    expect(stderr).toMatch(/^\s+at /m);
  });

  it.skipIf(process.getuid?.() === 0)('a directory without permission', async () => {
    mkdirSync(at('locked'), { recursive: true });
    chmodSync(at('locked'), 0o500);
    const { code, stderr } = await runProgram('server', ['simulate', '--out', at('locked', 'out')], home.path);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain('locked');
  });
});

describe.skipIf(!existsSync(sharedData))('bad recordings (skipped without the shared test data)', patience, () => {
  it.concurrent.each([
    ['without cameras', 'so101_no_camera', /camera/],
    ['without its video', 'so101_one_episode', /mp4/],
  ])('a dataset %s', async (_name, folder, says) => {
    const { code, stderr } = await runProgram('server', ['simulate', '--clients', '1', '--dataset', join(sharedData, folder), '--out', at(folder)], home.path);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(says);
  });

  it('recordings of robots of two sizes', async () => {
    const args = ['simulate', '--clients', '2', '--dataset', join(sharedData, 'so101_bimanual_cloth'), '--dataset', 'demo:cube-to-bowl?episodes=1'];
    const { code, stderr } = await runProgram('server', [...args, '--out', at('sizes')], home.path);
    expect(code).toBe(2);
    expect(stderr).toMatch(/so101_bimanual_cloth has 12 state values and 12 actions, demo:cube-to-bowl\?episodes=1 has 6 state values and 6 actions/);
  });

  it('fewer episodes than clients', async () => {
    const { code, stderr } = await runProgram('server', ['simulate', '--clients', '40', '--dataset', join(sharedData, 'cr5_banana_plate'), '--out', at('few')], home.path);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(/18 episodes/);
  });
});

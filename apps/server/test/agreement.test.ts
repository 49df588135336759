import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDatasetWriter, openDataset, type LeRobotDataset } from '@zk0/dataset-so100';
import { demoMaker } from '@zk0/demo-so100';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { killStartedPrograms, runProgram, startProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

const JOINTS = ['shoulder_pan.pos', 'shoulder_lift.pos', 'elbow_flex.pos', 'wrist_flex.pos', 'wrist_roll.pos', 'gripper.pos'];
const [TOP, WRIST, FRONT] = ['observation.images.top', 'observation.images.wrist', 'observation.images.front'] as const;
const GRIPPER = 5;
/** Half of each joint's calibrated range in counts of its encoder; the gripper's whole range. */
const RANGES = [1250, 1210, 1160, 1180, 2040, 1420];
const EPISODES_EACH = 2;

/** How one client records what its arm does. */
interface Recorder {
  readonly order?: readonly number[];
  readonly units?: 'degrees' | 'normalized' | 'ticks';
  readonly top?: string;
}

/** A value as the arm's recorder writes it: through the counts of the joint's encoder. */
function written(value: number, joint: number, units: Recorder['units'] = 'degrees'): number {
  const range = RANGES[joint]!;
  const counts = Math.round(joint === GRIPPER ? (value / 100) * range : (value * 4095) / 360);
  if (units === 'ticks') return 2048 + counts;
  if (joint === GRIPPER) return (counts / range) * 100;
  return units === 'normalized' ? (counts / range) * 100 : (counts * 360) / 4095;
}

/** Records the episodes of one client from what really happened. */
async function record(name: string, truth: LeRobotDataset, { order = [0, 1, 2, 3, 4, 5], units, top = TOP }: Recorder): Promise<string> {
  const path = join(home.path, name);
  const names = order.map((joint) => JOINTS[joint]!);
  const cameras = truth.info.cameras.map(({ key, width, height }) => ({ key: key === TOP ? top : key, width, height }));
  const writer = await createDatasetWriter(path, { fps: truth.info.fps, robotType: 'so101_follower', stateNames: names, actionNames: names, cameras });
  const row = (values: Float32Array): number[] => order.map((joint) => written(values[joint]!, joint, units));
  for (const { from, to } of truth.info.episodes) {
    const frames = async function* (): AsyncGenerator<{ state: number[]; action: number[]; images: Record<string, Awaited<ReturnType<LeRobotDataset['images']>>[number]> }> {
      for (let frame = from; frame < to; frame++) {
        const [above, wrist] = await truth.images(frame, [TOP, WRIST]);
        yield { state: row(truth.state(frame)), action: row(truth.actionChunk(frame, 1).actions), images: { [top]: above!, [WRIST]: wrist! } };
      }
    };
    await writer.addEpisode({ task: truth.task(from), frames: frames() });
  }
  await writer.finish();
  return path;
}

/** A run small enough for a test; everything else is as in production. */
const SETTINGS = ['--policy', 'tiny', '--rounds', '2', '--seed', '7', '--local-steps', '20', '--batch-size', '8', '--set', 'evaluateBatches=0'];

function losses(run: string): number[] {
  const history = JSON.parse(readFileSync(join(run, 'server', 'eval_policy_loss_history.json'), 'utf8')) as Record<string, { server_policy_loss: number }>;
  return Object.values(history).map(({ server_policy_loss: loss }) => loss);
}

/** Asks for the status until it says something. */
async function untilStatus(url: string, words: RegExp): Promise<string> {
  for (let tries = 0; tries < 60; tries++) {
    const { code, stdout, stderr } = await runProgram('server', ['status', '--server', url], home.path);
    expect(code, stderr).toBe(0);
    if (words.test(stdout)) return stdout;
    await sleep(500);
  }
  throw new Error(`the status never said ${words.source}`);
}

describe('a federation of arms that record differently', { timeout: 420_000 }, () => {
  let heldOut = '';
  const clean: string[] = [];
  const different: string[] = [];
  let counts = '';

  beforeAll(async () => {
    const recorders: Recorder[] = [{}, { order: [5, 3, 1, 0, 2, 4] }, { units: 'normalized' }, { top: FRONT }];
    const episodes = (client: number): Promise<LeRobotDataset> => {
      const [first, last] = [client * EPISODES_EACH, (client + 1) * EPISODES_EACH - 1];
      return openDataset(`demo:push-block-left?episodes=${5 * EPISODES_EACH}&seed=3&fps=5&width=64&height=48&select=${first}-${last}`, { cacheDirectory: home.path, demo: demoMaker });
    };
    for (const [client, recorder] of recorders.entries()) {
      const truth = await episodes(client);
      clean.push(await record(`clean-${client}`, truth, {}));
      different.push(await record(`different-${client}`, truth, recorder));
      if (client === 0) counts = await record('counts', truth, { units: 'ticks' });
      await truth.close();
    }
    const truth = await episodes(4);
    heldOut = await record('held-out', truth, {});
    await truth.close();
  }, 300_000);

  it('ends within 3 % of the loss of the same federation of equal recordings, and refuses whose counts nobody can convert', async () => {
    const out = join(home.path, 'equal');
    const simulated = await runProgram('server', ['simulate', '--clients', '4', '--threads', '1', '--out', out, '--held-out', heldOut, ...clean.flatMap((path) => ['--dataset', path]), ...SETTINGS], home.path);
    expect(simulated.code, simulated.stderr).toBe(0);

    const folder = join(home.path, 'by-hand');
    const server = startProgram('server', ['start', '--port', '0', '--out', folder, '--device', 'cpu', '--allow-folder', home.path], home.path);
    const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
    const start = (id: number, dataset: string, ...more: string[]): ReturnType<typeof startProgram> =>
      startProgram('client', ['start', '--server', url, '--id', String(id), '--dataset', dataset, '--threads', '1', '--device', 'cpu', ...more], home.path);
    const refused = start(4, counts);
    const clients = different.map((path, id) => start(id, path, ...(id === 3 ? ['--rename', `${FRONT}=${TOP}`] : [])));
    await Promise.all([refused, ...clients].map((client) => client.until(/connected to/)));
    const run = startProgram('server', ['run', '--server', url, '--min-clients', '4', '--held-out', heldOut, '--stream', ...SETTINGS], home.path);
    const runId = (await run.until(/run (\S+) is submitted/))[1]!;
    // The reason is where an operator looks, for as long as the run goes on.
    const told = await untilStatus(url, /cannot take part/);
    expect(told).toMatch(/client 4 cannot take part: counts: state shoulder_pan\.pos is recorded in ticks/);
    expect(await run.exited, run.stderr()).toBe(0);

    const [equal, differing] = [losses(out), losses(join(folder, runId))];
    expect(equal).toHaveLength(3);
    expect(equal.at(-1)).toBeLessThan(0.9 * equal[0]!);
    for (const [round, loss] of equal.entries()) expect(Math.abs(differing[round]! / loss - 1), `round ${round}: ${loss} and ${differing[round]!}`).toBeLessThan(0.03);

    const log = readFileSync(join(folder, 'server.log'), 'utf8');
    expect(log).toContain('client 1: state reordered to');
    expect(log).toMatch(/client 2: state shoulder_pan\.pos, .* converted from normalized to degrees(?! by)/);
    expect(log).toMatch(/client 4 cannot take part: counts: state shoulder_pan\.pos is recorded in ticks, .*encoder counts say nothing without the calibration of the arm/);
    expect(log.match(/cannot take part/g)).toHaveLength(1);
    const checkpoint = join(folder, runId, 'models', 'checkpoint_round_2');
    await evaluates(checkpoint);
  });

  /** A checkpoint knows what it was trained on: an evaluation brings recordings to it as the run did. */
  async function evaluates(checkpoint: string): Promise<void> {
    const evaluate = (...args: string[]): ReturnType<typeof runProgram> =>
      runProgram('server', ['evaluate', '--policy', checkpoint, '--json', '--batches', '0', '--device', 'cpu', ...args], home.path);
    const both = await evaluate('--dataset', clean[1]!, '--dataset', different[1]!, '--dataset', clean[2]!, '--dataset', different[2]!, '--dataset', clean[3]!, '--dataset', different[3]!, '--rename', `${FRONT}=${TOP}`);
    expect(both.code, both.stderr).toBe(0);
    const found = (JSON.parse(both.stdout) as { policyLoss: number }[]).map(({ policyLoss }) => policyLoss);
    for (const pair of [0, 2, 4]) expect(Math.abs(found[pair + 1]! / found[pair]! - 1), found.join(', ')).toBeLessThan(0.01);
    const unnamed = await evaluate('--dataset', different[3]!);
    expect(unnamed.code).toBe(1);
    expect(unnamed.stderr).toMatch(/takes \[observation\.images\.top, observation\.images\.wrist\].*has \[observation\.images\.front, observation\.images\.wrist\]/);
    expect(unnamed.stderr).toContain(`--rename ${FRONT}=${TOP}`);
    const inCounts = await evaluate('--dataset', counts);
    expect(inCounts.code).toBe(1);
    expect(inCounts.stderr).toContain('does not agree with the recordings of the policy');
    const doctor = await runProgram('server', ['doctor', '--policy', checkpoint, '--dataset', different[3]!, '--rename', `${FRONT}=${TOP}`, '--json'], home.path);
    expect((JSON.parse(doctor.stdout) as { name: string; state: string; found: string }[]).find(({ name }) => name === `dataset ${different[3]!}`)).toMatchObject({
      // The tiny preset reads 24 tokens.
      state: 'attention',
      found: expect.stringMatching(/front as observation\.images\.top.*joints in degrees and percent.*of which the policy reads the first 24/) as string,
    });
    const strict = await runProgram('client', ['doctor', '--policy', checkpoint, '--dataset', different[3]!, '--json'], home.path);
    expect(strict.code).toBe(1);
    expect(strict.stdout).toContain(`--rename ${FRONT}=${TOP}`);
  }
});

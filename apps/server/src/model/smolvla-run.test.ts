import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runConfigSchema, type ClientProfile } from '@zk0/core';
import type { RegisteredClient, RunModel } from '@zk0/federation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SmolVlaModel } from './smolvla-model.ts';
import type { StartContext } from './start-context.ts';

const cacheDirectory = mkdtempSync(join(tmpdir(), 'zk0-run-model-'));
afterAll(() => {
  rmSync(cacheDirectory, { recursive: true, force: true });
});

const joints = ['shoulder_pan', 'shoulder_lift', 'elbow_flex', 'wrist_flex', 'wrist_roll', 'gripper'].map((name) => `${name}.pos`);

/** What a client says of recordings whose i-th joint has the mean i, in the order given. */
function profile(order: readonly number[], change: Partial<ClientProfile['dataset']> = {}, more: Partial<ClientProfile> = {}): ClientProfile {
  const names = order.map((joint) => joints[joint]!);
  const moments = { count: 100, mean: [...order], m2: order.map((joint) => 100 * (joint + 1)), min: order.map((joint) => joint - 50), max: order.map((joint) => joint + 50) };
  return {
    dataset: {
      name: 'recording',
      contentHash: 'a'.repeat(64),
      robotType: 'so101_follower',
      fps: 30,
      episodes: 1,
      frames: 100,
      stateNames: names,
      actionNames: names,
      cameras: [{ key: 'observation.images.top', height: 48, width: 64 }],
      moments: { state: moments, action: moments },
      joints: { state: order.map((joint) => convention(joint)), action: order.map((joint) => convention(joint)) },
      ...change,
    },
    device: 'cpu',
    ...more,
  };
}
const convention = (joint: number): { unit: 'degrees' | 'percent'; confidence: number } => ({ unit: joint === 5 ? 'percent' : 'degrees', confidence: 1 });

const client = (clientId: string, said: ClientProfile): RegisteredClient => ({
  clientId, instance: clientId, name: clientId, agent: 'test', label: said.dataset.name, numExamples: said.dataset.frames,
  profile: said, activity: { state: 'idle' }, lastSeen: 0, bytesUp: 0, bytesDown: 0,
});

const notes: string[] = [];
async function open(clients: readonly RegisteredClient[], strategy: { name: string } & Record<string, unknown> = { name: 'fedavg' }): Promise<RunModel> {
  const log = { info: (message: string) => void notes.push(message), warn: (message: string) => void notes.push(message) };
  const model = new SmolVlaModel({ device: 'cpu', cacheDirectory, directory: () => cacheDirectory, log });
  const config = runConfigSchema.parse({ policy: 'tiny', rounds: 1, strategy });
  return model.openRun({ runId: 'r', config, context: null, clients, signal: new AbortController().signal });
}

const usual = client('usual', profile([0, 1, 2, 3, 4, 5]));
const other = client('other', profile([0, 1, 2, 3, 4, 5]));
const permuted = client('permuted', profile([5, 4, 3, 2, 1, 0]));

describe('the recordings of a run', () => {
  let run: RunModel;
  beforeAll(async () => {
    run = await open([usual, other, permuted]);
  });
  afterAll(() => run.close?.());

  it('with joints in another order are brought to the usual one, in the normaliser and by their client', async () => {
    const all = [usual, other, permuted];
    expect(all.map((one) => run.misfit!(one, all))).toEqual([null, null, null]);
    const { context } = await run.start(all);
    const { normalizer } = (context as unknown as StartContext).run;
    expect(normalizer.state.mean).toEqual([0, 1, 2, 3, 4, 5]);
    expect(run.clientInstructions!(usual)).toBeUndefined();
    expect(run.clientInstructions!(permuted)).toMatchObject({ alignment: { state: { order: [5, 4, 3, 2, 1, 0] }, stateNames: joints } });
    expect(notes.join('\n')).toContain('client permuted: ');
    // They declare the same content: it is said, for the recording counts three times.
    expect(notes.join('\n')).toContain('clients usual, other, permuted train on the same recordings (recording): they count 3 times');
  });

  it('of another frame rate, other joints or another size are refused with the reason', () => {
    const slow = client('slow', profile([0, 1, 2, 3, 4, 5], { fps: 10 }));
    const strange = client('strange', profile([0, 1, 2, 3, 4, 5], { stateNames: joints.map((name) => `left_${name}`) }));
    const small = client('small', { ...profile([0, 1]), device: 'cpu' });
    const all = [usual, other, slow, strange, small];
    expect(run.misfit!(slow, all)).toContain('it was recorded at 10 frames a second');
    expect(run.misfit!(strange, all)).toContain('recording: ');
    expect(run.misfit!(small, all)).toBe("recording has 2 and 2, this run's model takes 6 state values and 6 actions");
  });
});

it('a private run takes no client that told exact statistics', async () => {
  const run = await open([usual], { name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1 });
  const quiet = client('quiet', profile([0, 1, 2, 3, 4, 5], {}, { private: true }));
  expect(run.misfit!(usual, [usual])).toContain('--private');
  expect(run.misfit!(quiet, [quiet])).toBeNull();
  await run.close?.();
});

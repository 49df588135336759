import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeSafetensors, type ClientProfile, type Float32Tensor, type Parameters, type ResultReply, type TaskResult } from '@zk0/core';
import { openBlobStore, readParameters, writeParameters, type BlobStore } from '@zk0/storage';
import { connect, type TransportClient } from '@zk0/transport';
import { afterAll, afterEach, expect, it } from 'vitest';
import { hashes, killStartedPrograms, metricRows, runProgram, startProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

const joints = Array.from({ length: 6 }, (_, joint) => `joint_${joint}`);
const zeros = joints.map(() => 0);
const ones = joints.map(() => 1);
const moments = { count: 10, mean: zeros, m2: ones, min: zeros, max: ones };
const profile: ClientProfile = {
  dataset: {
    name: 'recording',
    contentHash: 'a'.repeat(64),
    robotType: 'so101_follower',
    fps: 30,
    episodes: 1,
    frames: 10,
    stateNames: joints,
    actionNames: joints,
    cameras: ['observation.images.top', 'observation.images.wrist'].map((key) => ({ key, height: 48, width: 64 })),
    moments: { state: moments, action: moments },
  },
  device: 'cpu',
};

/** Blobs of whoever plays a client: the global parameters, and what becomes of them. */
interface Desk {
  readonly blobs: BlobStore;
  readonly global: Parameters;
}

type Outcome = Extract<TaskResult['outcome'], { ok: true }>;

async function outcomeOf({ blobs }: Desk, parameters: Parameters, more: Partial<Outcome> = {}): Promise<Outcome> {
  const path = join(home.path, 'update.safetensors');
  await writeParameters(path, parameters);
  return { ok: true, update: await blobs.putFile(path), numExamples: 8, metrics: { loss: 1 }, ...more };
}

/** The parameters with every value changed; by far too much, for a large `by`. */
function moved({ global }: Desk, by: number): Map<string, Float32Tensor> {
  return new Map([...global].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => value + by) }]));
}

function changed(desk: Desk, change: (parameters: Map<string, Float32Tensor>, first: string) => void): Parameters {
  const parameters = moved(desk, 1e-3);
  change(parameters, [...parameters.keys()].sort()[0]!);
  return parameters;
}

const honest = (desk: Desk): Promise<Outcome> => outcomeOf(desk, moved(desk, 1e-3));

/** What each client sends, and what the server must say to it. */
const clients: Record<string, { readonly send: (desk: Desk) => Promise<Outcome>; readonly refused?: readonly [code: string, about: RegExp] }> = {
  'honest-1': { send: honest },
  'honest-2': { send: honest },
  'not-a-number': {
    send: (desk) => outcomeOf(desk, changed(desk, (parameters, first) => void (parameters.get(first)!.data[3] = Number.NaN))),
    refused: ['UPDATE_NON_FINITE', /element 3 is not finite/],
  },
  infinite: {
    send: (desk) => outcomeOf(desk, changed(desk, (parameters, first) => void (parameters.get(first)!.data[0] = Number.POSITIVE_INFINITY))),
    refused: ['UPDATE_NON_FINITE', /element 0 is not finite/],
  },
  incomplete: {
    send: (desk) => outcomeOf(desk, changed(desk, (parameters, first) => void parameters.delete(first))),
    refused: ['UPDATE_MISSING_TENSOR', /does not have it/],
  },
  inventive: {
    send: (desk) => outcomeOf(desk, changed(desk, (parameters) => void parameters.set('backdoor', { shape: [1], data: new Float32Array(1) }))),
    refused: ['UPDATE_UNKNOWN_TENSOR', /backdoor/],
  },
  reshaped: {
    send: (desk) =>
      outcomeOf(
        desk,
        changed(desk, (parameters, first) => {
          const { data } = parameters.get(first)!;
          parameters.set(first, { shape: [1, data.length], data });
        }),
      ),
    refused: ['UPDATE_WRONG_SHAPE', /shape \[1, \d+\], not/],
  },
  'wrong-type': {
    send: async (desk) => {
      const tensors = [...moved(desk, 1e-3)].map(([name, { shape, data }]) => ({ name, dtype: 'F64' as const, shape, data: new Uint8Array(Float64Array.from(data).buffer) }));
      return { ok: true, update: await desk.blobs.put(encodeSafetensors(tensors)), numExamples: 8, metrics: {} };
    },
    refused: ['UPDATE_WRONG_DTYPE', /F64, not F32/],
  },
  'no-examples': {
    send: (desk) => outcomeOf(desk, moved(desk, 1e-3), { numExamples: 0 }),
    refused: ['UPDATE_BAD_EXAMPLE_COUNT', /0 is not a possible number of examples/],
  },
  greedy: {
    send: (desk) => outcomeOf(desk, moved(desk, 1e-3), { numExamples: 1e15 }),
    refused: ['UPDATE_BAD_EXAMPLE_COUNT', /1000000000000000 is not a possible number/],
  },
  absurd: {
    send: (desk) => outcomeOf(desk, moved(desk, 1e6)),
    refused: ['UPDATE_NORM_TOO_LARGE', /above the guard of 1000/],
  },
  garbled: {
    send: async ({ blobs }) => ({ ok: true, update: await blobs.put(new TextEncoder().encode('these are not weights')), numExamples: 8, metrics: {} }),
    refused: ['UPDATE_UNREADABLE', /^client garbled: it is no safetensors file: header claims \d+ bytes, \d+ are allowed$/],
  },
  forgetful: {
    send: () => Promise.resolve({ ok: true, update: { hash: 'f'.repeat(64), byteLength: 1000 }, numExamples: 8, metrics: {} }),
    refused: ['UPDATE_UNREADABLE', /it was not uploaded/],
  },
};

it('bad updates are refused by client and tensor, and the round goes on without them', { timeout: 300_000 }, async () => {
  const out = join(home.path, 'out');
  const server = startProgram('server', ['start', '--port', '0', '--out', out, '--device', 'cpu'], home.path);
  const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
  const lines = new Map<string, TransportClient>();
  for (const clientId of Object.keys(clients)) {
    const line = connect({ url, clientId, instance: clientId });
    await line.join({ name: clientId, agent: 'test/1', profile });
    lines.set(clientId, line);
  }
  const { state } = profile.dataset.moments;
  const stranger = { ...profile, dataset: { ...profile.dataset, stateNames: ['a'], moments: { ...profile.dataset.moments, state: { ...state, mean: [0], m2: [1], min: [0], max: [1] } } } };
  const other = connect({ url, clientId: 'other-robot', instance: 'other-robot' });
  await other.join({ name: 'other-robot', agent: 'test/1', profile: stranger });
  const run = ['run', '--server', url, '--rounds', '1', '--policy', 'tiny', '--strategy', 'fedavg', '--set', 'minClients=2'];
  const submitted = await runProgram('server', [...run, '--set', 'strategy.guards.maxUpdateNorm=1000'], home.path);
  expect(submitted.code, submitted.stderr).toBe(0);
  const runId = /run (\S+) is submitted/.exec(submitted.stdout)![1]!;

  const blobs = await openBlobStore(join(home.path, 'blobs'));
  const replies = new Map<string, ResultReply>();
  let again: ResultReply[] = [];
  for (const [clientId, line] of lines) {
    const task = (await line.poll(AbortSignal.timeout(30_000)))!;
    const { taskId, round, attempt, parameters } = task;
    await line.download(parameters.hash, parameters.byteLength, blobs);
    const desk = { blobs, global: await readParameters(blobs.path(parameters.hash)) };
    const report = async (outcome: Outcome): Promise<ResultReply> => {
      const { hash } = outcome.update!;
      // Uploads are for open tasks: a repeated result brings nothing with it.
      if (!replies.has(clientId) && (await blobs.has(hash))) await line.upload(hash, blobs);
      return line.result({ taskId, runId, round, attempt, outcome });
    };
    const outcome = await clients[clientId]!.send(desk);
    replies.set(clientId, await report(outcome));
    if (clientId === 'honest-1') again = [await report(outcome), await report(await outcomeOf(desk, moved(desk, 2e-3)))];
  }
  for (const [clientId, { refused }] of Object.entries(clients)) {
    const reply = replies.get(clientId)!;
    if (refused === undefined) expect(reply, clientId).toEqual({ status: 'accepted' });
    else {
      expect(reply, clientId).toMatchObject({ status: 'rejected', code: refused[0], message: expect.stringMatching(refused[1]) as string });
    }
  }
  expect(again.map(({ status }) => status)).toEqual(['duplicate', 'late']);

  await server.until(/run \S+: finished/);
  await Promise.all([...lines.values(), other].map((line) => line.close()));

  const missing = new Map(metricRows(join(out, runId)).flatMap(({ type, client_id: clientId, reason }) => (type === 'missing' ? [[clientId!, reason!]] : [])));
  const log = readFileSync(join(out, runId, 'server', 'server.log'), 'utf8');
  for (const [clientId, { refused }] of Object.entries(clients)) {
    if (refused === undefined) continue;
    expect(missing.get(clientId), clientId).toMatch(new RegExp(`^client ${clientId}[,:]`));
    expect(log).toContain(`update refused: ${missing.get(clientId)!}`);
  }
  expect(log).toContain("client other-robot cannot take part: recording has 1 and 6, this run's model takes 6 state values and 6 actions");
  expect(missing.size).toBe(Object.keys(clients).length - 2);
  // Both honest clients moved every weight by the same, and nobody else moved any.
  const serverBlobs = await openBlobStore(join(out, '.server', 'blobs'));
  const [before, after] = await Promise.all(hashes(join(out, runId)).map((hash) => readParameters(serverBlobs.path(hash))));
  for (const [name, { data }] of before!) expect(after!.get(name)!.data, name).toEqual(data.map((value) => value + 1e-3));
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { demoTasks, makeDemoDataset } from '@zk0/demo-so100';
import { readTree, startTestHub } from '@zk0/hub/testing';
import { openPolicy } from '@zk0/policy-smolvla';
import { afterAll, afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { killStartedPrograms, runProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterEach(() => {
  killStartedPrograms();
  vi.unstubAllEnvs();
});
afterAll(home.remove);

it('trains a policy of the hub on a dataset of the hub, and records the commits of both', { timeout: 300_000 }, async () => {
  const server = await startTestHub();
  onTestFinished(() => server.close());
  const [set, tree] = [join(home.path, 'set'), join(home.path, 'policy')];
  await makeDemoDataset(set, { task: demoTasks[0]!.name, episodes: 2, seed: 1 });
  const features = { stateSize: 6, actionSize: 6, cameras: ['observation.images.top', 'observation.images.wrist'] };
  const six = { mean: Array<number>(6).fill(0), std: Array<number>(6).fill(1) };
  const policy = await openPolicy('small', { device: 'cpu', cacheDirectory: home.path, features });
  await policy.saveCheckpoint(tree, await policy.initialParameters(), { normalizer: { state: six, action: six } });
  await policy.close();
  const [datasetCommit, policyCommit] = [
    server.serve({ type: 'dataset', name: 'owner/set', files: readTree(set) }),
    server.serve({ type: 'model', name: 'owner/policy', files: readTree(tree) }),
  ];
  vi.stubEnv('HF_ENDPOINT', server.endpoint);
  vi.stubEnv('HF_HOME', join(home.path, 'hf'));

  const out = join(home.path, 'out');
  const small = ['--rounds', '1', '--clients', '1', '--local-steps', '2', '--batch-size', '2', '--hold-out', '1', '--set', 'evaluateBatches=1'];
  const run = await runProgram('server', ['simulate', '--policy', 'hf:owner/policy', '--dataset', 'hf:owner/set', '--out', out, ...small], home.path);
  expect(run.code, run.stderr).toBe(0);
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as { datasets: object[]; context: { policy: object } };
  expect(config.context.policy).toMatchObject({ source: `hf:owner/policy@${policyCommit}` });
  expect(config.datasets).toEqual([
    expect.objectContaining({ role: 'train', name: 'owner/set', commit: datasetCommit }),
    expect.objectContaining({ role: 'held-out', name: 'owner/set', commit: datasetCommit }),
  ]);

  // Everything is in the cache now.
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  server.requests.length = 0;
  const evaluate = ['evaluate', '--policy', 'hf:owner/policy', '--dataset', 'hf:owner/set?episodes=1', '--batches', '1', '--batch-size', '2', '--json'];
  const evaluated = await runProgram('server', evaluate, home.path);
  expect(evaluated.code, evaluated.stderr).toBe(0);
  expect(JSON.parse(evaluated.stdout)).toEqual([expect.objectContaining({ dataset: 'owner/set', samples: 2 })]);
  const inspected = await runProgram('client', ['dataset', 'inspect', 'hf:owner/set', '--json'], home.path);
  expect(JSON.parse(inspected.stdout)).toMatchObject({ name: 'owner/set', episodes: 2 });
  const doctor = await runProgram('server', ['doctor', '--json'], home.path);
  expect(JSON.parse(doctor.stdout)).toContainEqual(expect.objectContaining({ name: 'hub', state: 'ok', found: expect.stringContaining('offline') as string }));
  expect(server.requests).toEqual([]);
});

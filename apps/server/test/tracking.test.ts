import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mlflowAnswer, recordingServer, type RecordingServer } from '@zk0/trackers/testing';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, runProgram, startProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
const trackers: RecordingServer[] = [];
afterEach(async () => {
  killStartedPrograms();
  for (const tracker of trackers.splice(0)) await tracker.close();
});
afterAll(home.remove);

async function tracker(port = 0): Promise<RecordingServer> {
  const server = await recordingServer(mlflowAnswer, port);
  trackers.push(server);
  return server;
}

/** Steps of the held-out loss, or of another figure, in the order in which the tracker got them. */
function steps({ requests }: RecordingServer, figure = 'server/policy_loss'): number[] {
  return requests.flatMap(({ path, body }) =>
    path.endsWith('log-batch') ? ((body['metrics'] ?? []) as { key: string; step: number }[]).flatMap(({ key, step }) => (key === figure ? [step] : [])) : [],
  );
}

/** Has policies tried after every round, once each. */
const tried = ['--rollout', 'demo:lift-can?fps=5&width=64&height=48', '--rollout-every', '1', '--rollout-trials', '1'];

const run = ['--rounds', '2', '--policy', 'tiny', '--local-steps', '1', '--batch-size', '2', '--evaluate-batches', '1'];

it('a tracker that is down for a whole simulation gets everything afterwards, once', { timeout: 300_000 }, async () => {
  const port = Number(new URL((await tracker()).url).port);
  await trackers.pop()!.close();
  const out = join(home.path, 'simulated');
  const track = ['--track', `mlflow:http://127.0.0.1:${port}`];
  const simulated = await runProgram('server', ['simulate', ...run, '--clients', '1', '--dataset', 'demo:cube-to-bowl?episodes=3&fps=5&width=64&height=48', '--hold-out', '1', '--out', out, ...tried, ...track], home.path);
  expect(simulated.code, simulated.stderr).toBe(0);
  expect(simulated.stderr).toMatch(/7 lines are kept for mlflow:\S+; send them with: .*zk0-server track \S+simulated/);

  const server = await tracker(port);
  for (const said of [/has everything/, /has everything/]) {
    const { code, stdout, stderr } = await runProgram('server', ['track', out], home.path);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(said);
  }
  expect(steps(server)).toEqual([0, 1, 2]);
  expect(steps(server, 'success/rate').sort()).toEqual([1, 2]);
  const params = server.requests.flatMap(({ body }) => (body['params'] ?? []) as { key: string; value: string }[]);
  expect(Object.fromEntries(params.map(({ key, value }) => [key, value]))).toMatchObject({ rounds: '2', policy: 'tiny', 'strategy.name': 'fedprox', 'resolved.batchSize': '2', datasets: '1' });
  expect(server.requests.at(-1)!.body).toMatchObject({ run_id: 'r1', status: 'FINISHED' });

  // As after a process that died when it had recorded a success and not yet given it to the tracker.
  const kept = join(out, 'tracking', readdirSync(join(out, 'tracking')).find((name) => name.endsWith('.jsonl'))!);
  const metrics = join(out, 'metrics.jsonl');
  appendFileSync(metrics, `${JSON.stringify({ ...JSON.parse(readFileSync(metrics, 'utf8').split('\n').find((line) => line.includes('"type":"success"'))!), round: 0 })}\n`);
  for (const said of [/has everything/, /has everything/]) {
    expect((await runProgram('server', ['track', out], home.path)).stdout).toMatch(said);
  }
  expect(steps(server, 'success/rate').sort()).toEqual([0, 1, 2]);
  expect(readFileSync(kept, 'utf8').match(/"kind":"success"/g)).toHaveLength(3);
});

it('a server that is killed in the middle of a run sends nothing twice', { timeout: 300_000 }, async () => {
  const mlflow = await tracker();
  const out = join(home.path, 'served');
  const start = (port: string): ReturnType<typeof startProgram> =>
    startProgram('server', ['start', '--port', port, '--out', out, '--device', 'cpu', '--track', `mlflow:${mlflow.url}`], home.path);
  const first = start('0');
  const url = (await first.until(/zk0-server is at (http\S+)/))[1]!;
  startProgram('client', ['start', '--server', url, '--dataset', 'demo:cube-to-bowl?episodes=2&fps=5&width=64&height=48', '--id', 'a', '--device', 'cpu'], home.path);
  const submitted = await runProgram('server', ['run', '--server', url, ...run, '--min-clients', '1', '--held-out', 'demo:lift-can?episodes=1&fps=5&width=64&height=48', ...tried], home.path);
  expect(submitted.code, submitted.stderr).toBe(0);
  await expect.poll(() => steps(mlflow).includes(1), { timeout: 120_000 }).toBe(true);
  first.child.kill('SIGKILL');
  await first.exited;
  const second = start(new URL(url).port);
  await second.until(/run \S+: finished/);
  await expect.poll(() => mlflow.requests.some(({ body }) => body['status'] === 'FINISHED'), { timeout: 30_000 }).toBe(true);
  await expect.poll(() => new Set(steps(mlflow, 'success/rate')), { timeout: 120_000 }).toEqual(new Set([1, 2]));
  // The answer to what was being sent as it was killed may have been lost; MLflow takes the same figure twice without a trace.
  expect([...new Set(steps(mlflow))]).toEqual([0, 1, 2]);
  expect(steps(mlflow).length).toBeLessThanOrEqual(4);
  expect(steps(mlflow, 'success/rate').length).toBeLessThanOrEqual(3);
});

it.each([
  ['comet:http://host', /the tracker is not understood\. Write mlflow:/],
  ['mlflow:http://ann:secret@host', /holds a secret/],
])('a tracker that cannot be is refused before anything starts: %s', async (address, says) => {
  const { code, stderr } = await runProgram('server', ['simulate', '--track', address, '--out', join(home.path, 'never')], home.path);
  expect(code).toBe(2);
  expect(stderr).toMatch(says);
  expect(stderr).not.toContain('secret@');
});

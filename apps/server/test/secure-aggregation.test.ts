import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors, readParameters } from '@zk0/storage';
import { openNodeKey } from '@zk0/transport';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, ledgerEvents, metricRows, runProgram, startProgram, temporaryDirectory, type RunningProgram } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

const CLIENTS = 3;
const RUN = ['--rounds', '1', '--seed', '5', '--local-steps', '3', '--batch-size', '2', '--policy', 'tiny', '--min-clients', String(CLIENTS), '--strategy', 'diloco'];
const dataset = (id: number): string => `demo:cube-to-bowl?episodes=2&seed=${id % 2 === 0 ? 1 : 2}`;

it('masked updates come to the parameters of plain ones, among members that know each other, through kills of the server and of a client', { timeout: 600_000 }, async () => {
  const out = join(home.path, 'outputs');
  const serve = (port: string): RunningProgram => startProgram('server', ['start', '--port', port, '--out', out, '--device', 'cpu'], home.path);
  let server = serve('0');
  const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
  const start = (id: number, ...more: string[]): RunningProgram =>
    startProgram('client', ['start', '--server', url, '--dataset', dataset(id), '--id', String(id), '--threads', '1', '--device', 'cpu', '--state', join(home.path, `state-${id}`), ...more], home.path);
  const clients = Array.from({ length: CLIENTS }, (_, id) => start(id));
  const submit = async (...more: string[]): Promise<string> => {
    const { stdout } = await runProgram('server', ['run', '--server', url, ...RUN, ...more], home.path);
    return /run (\S+) is submitted/.exec(stdout)![1]!;
  };
  const plain = await submit();
  await server.until(new RegExp(`run ${plain}: finished`));
  // The clients share a home, and so a key: one is told to share masks with the others alone.
  const { fingerprint, publicKey } = await openNodeKey(join(home.path, 'node-key.pem'));
  const members = join(home.path, 'members');
  writeFileSync(members, `0 ${fingerprint}\n2 ${fingerprint}\n`);
  clients[1]!.child.kill('SIGTERM');
  await clients[1]!.exited;
  clients[1] = start(1, '--members', members);
  await clients[1].until(new RegExp(`this node in a file of members: 1 ${fingerprint}`));
  await clients[1].until(/joined the federation/);
  const masked = await submit('--secure-aggregation', '--set', 'secureAggregation.clip=0.1');
  // Both die when the first masked update is in, wherever the others are then.
  await server.until(/update accepted(?:.|\n)*update accepted(?:.|\n)*update accepted(?:.|\n)*update accepted/);
  for (const program of [server, clients[1]]) program.child.kill('SIGKILL');
  await Promise.all([server.exited, clients[1].exited]);
  server = serve(new URL(url).port);
  await server.until(/zk0-server is at/);
  clients[1] = start(1, '--members', members);
  await server.until(new RegExp(`run ${masked}: finished`));
  for (const program of [...clients, server]) {
    program.child.kill('SIGTERM');
    await program.exited;
  }

  expect(metricRows(join(out, masked)).filter(({ type }) => type === 'client')).toHaveLength(CLIENTS);
  expect(readFileSync(join(out, masked, 'config.json'), 'utf8')).toMatch(/"secureAggregation": \{/);
  const events = await ledgerEvents(out);
  expect(events.filter(({ type }) => type === 'secure-stage-opened')).toHaveLength(3);
  expect(events.flatMap((event) => (event.type === 'secure-keys-advertised' ? [event.keys.signed!.publicKey] : []))).toEqual(Array(CLIENTS).fill(publicKey));
  const weights = async (runId: string): Promise<Float32Array[]> => {
    const checkpoint = join(out, runId, 'models', readdirSync(join(out, runId, 'models')).find((name) => name.startsWith('checkpoint_round_'))!);
    const file = await openSafetensors(join(checkpoint, 'model.safetensors'));
    try {
      return [...(await readParameters(file)).values()].map(({ data }) => data);
    } finally {
      await file.close();
    }
  };
  const [one, other] = [await weights(plain), await weights(masked)];
  const farthest = Math.max(...one.flatMap((values, tensor) => values.reduce((most, value, index) => Math.max(most, Math.abs(value - other[tensor]![index]!)), 0)));
  expect(farthest).toBeLessThan(1e-6);
  expect(farthest).toBeGreaterThan(0);
});

it('what needs single updates is refused before anything starts', async () => {
  const { code, stderr } = await runProgram('server', ['simulate', '--clients', '3', '--strategy', 'fedmedian', '--secure-aggregation'], home.path);
  expect(code).not.toBe(0);
  expect(stderr).toContain('secureAggregation: strategy fedmedian needs single updates');
});

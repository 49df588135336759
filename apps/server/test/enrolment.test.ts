import { join } from 'node:path';
import { startTestHub } from '@zk0/hub/testing';
import { afterAll, afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { killStartedPrograms, runProgram, startProgram, temporaryDirectory } from './cli.ts';

const [home, otherHome] = [temporaryDirectory(), temporaryDirectory()];
afterEach(() => {
  killStartedPrograms();
  vi.unstubAllEnvs();
});
afterAll(() => {
  home.remove();
  otherHome.remove();
});

const out = join(home.path, 'out');
const demo = (task: string): string => `demo:${task}?episodes=2&seed=1&fps=5&width=64&height=48`;

/** Runs a command that must succeed; its output. */
async function ok(app: 'server' | 'client', args: readonly string[], of = home): Promise<string> {
  const { code, stdout, stderr } = await runProgram(app, args, of.path);
  expect(code, `${args.join(' ')}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

it('nodes enrol with tokens of the operator, train, and are refused once they are revoked; the result is published', { timeout: 300_000 }, async () => {
  const server = startProgram('server', ['start', '--port', '0', '--out', out, '--device', 'cpu', '--enrolment'], home.path);
  const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
  expect(await ok('server', ['token', 'list', '--out', out])).toContain('zk0-server token create');
  expect(await ok('server', ['node', 'list', '--out', out])).toContain('no node has enrolled');

  const node = (id: string): string[] => ['start', '--server', url, '--id', id, '--dataset', demo(id === 'anna' ? 'cube-to-bowl' : 'lift-can'), '--threads', '1', '--device', 'cpu'];
  const stranger = await runProgram('client', node('anna'), home.path);
  expect([stranger.code, stranger.stderr]).toEqual([1, expect.stringContaining('enrol')]);
  const tokenless = await runProgram('client', ['enroll', '--server', url], home.path);
  expect([tokenless.code, tokenless.stderr]).toEqual([2, expect.stringContaining('ZK0_TOKEN')]);

  // Anna's token lets one node in; Ben has to be approved.
  const [annasToken, bensToken] = [(await ok('server', ['token', 'create', '--out', out])).trim(), (await ok('server', ['token', 'create', '--approve', '--note', 'for Ben', '--out', out])).trim()];
  expect(await ok('client', ['enroll', '--server', url, '--id', 'anna', '--token', annasToken])).toMatch(/enrolled as anna, key \S+\ntake part with: .*zk0-client start --server http/);
  const again = await runProgram('client', ['enroll', '--server', url, '--id', 'eve', '--token', annasToken], otherHome.path);
  expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/token .*used/)]);
  vi.stubEnv('ZK0_TOKEN', bensToken);
  expect(await ok('client', ['enroll', '--server', url, '--id', 'ben'], otherHome)).toContain('zk0-server node approve ben');
  vi.unstubAllEnvs();
  const tokens = JSON.parse(await ok('server', ['token', 'list', '--json', '--out', out])) as { id: string; used: number; note: string }[];
  expect(tokens.map(({ used, note }) => [used, note]).sort()).toEqual([[1, ''], [1, 'for Ben']]);
  expect(await ok('server', ['token', 'revoke', tokens[0]!.id, '--out', out])).toContain('is revoked; 1 nodes enrolled with it');
  expect(await ok('server', ['node', 'list', '--out', out])).toMatch(/anna +approved[\s\S]*ben +pending/);
  expect(await ok('server', ['node', 'approve', 'ben', '--out', out])).toMatch(/node ben \(\S+\) is approved/);

  const [anna, ben] = [startProgram('client', node('anna'), home.path), startProgram('client', node('ben'), otherHome.path)];
  await Promise.all([anna, ben].map((client) => client.until(/connected to/)));
  const run = startProgram('server', ['run', '--out', out, '--stream', '--min-clients', '2', '--rounds', '1', '--policy', 'tiny', '--local-steps', '1', '--batch-size', '2', '--set', 'evaluateBatches=1', '--held-out', demo('push-block-left')], home.path);
  const runId = (await run.until(/run (\S+) is submitted/))[1]!;
  expect(await run.exited, run.stderr()).toBe(0);

  expect(await ok('server', ['node', 'revoke', 'ben', '--out', out])).toMatch(/node ben \(\S+\) is revoked/);
  await expect(ben.exited).resolves.toBe(1);
  expect(ben.stderr()).toMatch(/error: .*revoked/);

  const hub = await startTestHub({ writeToken: 'hf_write' });
  onTestFinished(() => hub.close());
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_TOKEN', 'hf_write');
  const push = ['push', join(out, runId, 'models', 'checkpoint_round_1'), '--repo', 'lab/arm'];
  expect(await ok('server', push)).toMatch(new RegExp(`lab/arm: \\d+ files, .* sent\\ncommit +[0-9a-f]{40}\\ntag +fl-run-${runId}-round-1`));
  expect(JSON.parse(await ok('server', [...push, '--json']))).toMatchObject({ changed: [], sentBytes: 0 });
  const misnamed = await runProgram('server', ['push', out, '--repo', 'arm'], home.path);
  expect([misnamed.code, misnamed.stderr]).toEqual([2, expect.stringContaining('owner/name')]);
});

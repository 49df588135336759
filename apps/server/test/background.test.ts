import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, runProgram, startProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
const pids: number[] = [];
afterEach(killStartedPrograms);
afterAll(() => {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Stopped, as it should be.
    }
  }
  home.remove();
});

const tiny = ['--policy', 'tiny', '--local-steps', '2', '--batch-size', '2', '--evaluate-batches', '1'];
const demo = (name: string): string => `demo:${name}?episodes=1&seed=1`;

/** Runs a command that must succeed; its output. */
async function ok(app: 'server' | 'client', ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(app, args, home.path);
  expect(code, `${args.join(' ')}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** Starts a program in the background; what it printed. */
async function detached(app: 'server' | 'client', ...args: string[]): Promise<string> {
  const said = await ok(app, 'start', '--detach', ...args);
  pids.push(Number(/PID (\d+)/.exec(said)![1]));
  return said;
}

it('server and clients work in the background: they are seen, read, followed and stopped from any terminal', { timeout: 480_000 }, async () => {
  const out = join(home.path, 'out');
  // Nothing is there yet, and what to do about it is said.
  const none = await runProgram('server', ['status', '--out', out], home.path);
  expect(none.code).toBe(1);
  expect(none.stderr).toContain('start --detach');
  expect((await runProgram('client', ['status'], home.path)).code).toBe(1);

  const said = await detached('server', '--port', '0', '--out', out, '--device', 'cpu');
  const url = /zk0-server is at (http\S+)/.exec(said)![1]!;
  expect(said).toContain(`zk0-server stop --process --out ${out}`);
  for (const id of ['north', 'south']) {
    const task = id === 'north' ? 'cube-to-bowl' : 'lift-can';
    expect(await detached('client', '--server', url, '--dataset', demo(task), '--id', id, '--threads', '1', '--device', 'cpu', ...(id === 'north' ? ['--send-log', 'info'] : []))).toContain(`zk0-client stop --id ${id}`);
  }
  const local = await ok('client', 'status');
  expect(local).toMatch(/client north, PID \d+/);
  expect(local).toMatch(/client south, PID \d+/);
  expect((await runProgram('client', ['stop'], home.path)).stderr).toContain('Name one with --id');

  // A second run has to wait its turn.
  const first = /run (\S+) is submitted/.exec(await ok('server', 'run', '--out', out, '--rounds', '400', '--set', 'minClients=1', '--held-out', demo('push-block-left'), ...tiny))![1]!;
  const second = /run (\S+) is submitted/.exec(await ok('server', 'run', '--out', out, '--rounds', '1', '--held-out', demo('push-block-left'), ...tiny))![1]!;
  const following = startProgram('server', ['follow', first, '--server', url], home.path);
  await following.until(/round 1\/400 · held-out loss/);
  const status = await ok('server', 'status', '--out', out);
  expect(status).toMatch(/running +\d+ of 400/);
  expect(status).toMatch(/queued +0 of 1/);
  expect(status).toMatch(/north .*\d\d:\d\d:\d\d/);

  // Ctrl-C leaves the run alone.
  following.child.kill('SIGINT');
  expect(await following.exited).toBe(130);
  expect(following.stdout()).toContain(`follow ${first}`);
  // A paused run finishes its round and lets the next one go first; a client that is excluded has no part in the rounds after.
  expect(await ok('server', 'pause', first, '--out', out)).toContain(`resume ${first}`);
  const resting = startProgram('server', ['follow', second, '--server', url], home.path);
  expect(await resting.exited, resting.stderr()).toBe(0);
  const paused = await ok('server', 'status', '--out', out);
  expect(paused).toMatch(/paused +\d+ of 400 .*paused by/);
  expect(paused).toMatch(/north .* \d+(\.\d)? [MG]B/);
  expect(await ok('server', 'exclude', 'south', '--run', first, '--server', url)).toContain(`readmit south --run ${first}`);
  expect(await ok('server', 'resume', first, '--out', out)).toContain('goes on');
  const going = startProgram('server', ['follow', first, '--server', url], home.path);
  await going.until(/client south was excluded by[\s\S]*round \d+\/400 · held-out loss/);
  expect(await ok('server', 'status', '--out', out)).toContain('client south cannot take part: it is excluded from this run');
  going.child.kill('SIGINT');
  await going.exited;
  const unknown = await runProgram('server', ['exclude', 'nobody', '--run', first, '--out', out], home.path);
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('client nobody has not joined')]);
  await ok('server', 'stop', first, '--out', out);
  const ended = await runProgram('server', ['follow', first, '--out', out], home.path);
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain('was stopped');
  // The rounds before the stop are told to somebody who comes late.
  expect(ended.stderr).toContain('round 1/400');

  // Logs: of this machine's files, and through the server as from another machine.
  expect(await ok('client', 'logs', '--id', 'north')).toContain('joined the federation');
  expect(await ok('server', 'logs', first, '--server', url)).toMatch(/\| server \| PID:\d+ \|/);
  // Lines of a client that sends them are in the run's log, under its name; of one that does not, none is.
  const lines = await ok('server', 'logs', first, '-n', '0', '--server', url);
  expect(lines).toMatch(/\| client_north \| remote - round trained: loss \d+\.\d{4} \| round=\d+/);
  expect(lines).not.toContain('client_south');
  const missing = await runProgram('server', ['logs', '../secret', '--server', url], home.path);
  expect(missing.stderr).toContain('there is no log of a run');
  const log = startProgram('server', ['logs', '-f', '-n', '1', '--server', url], home.path);
  // The last line is whose turn it was: the server's, or one that a client sent.
  await log.until(/\| (server \| PID|client_north \| remote)/);

  expect(await ok('client', 'stop', '--id', 'north')).toContain('has stopped');
  await log.until(/client north has left/);
  log.child.kill('SIGINT');
  await ok('client', 'stop', '--id', 'south');
  expect(await ok('server', 'stop', '--process', '--out', out)).toContain('has stopped');
  expect(existsSync(join(out, '.server', 'process.json'))).toBe(false);
  expect((await runProgram('client', ['status'], home.path)).stdout).toContain('client north is not running');
  expect((await runProgram('server', ['stop', '--process', '--out', out], home.path)).code).toBe(1);
});

it('a server with TLS is reached from its own machine, whatever name and authority its certificate has', { timeout: 180_000 }, async () => {
  const out = join(home.path, 'tls');
  const fixture = (name: string): string => fileURLToPath(new URL(`../../../packages/transport/test/fixtures/${name}`, import.meta.url));
  const said = await detached('server', '--port', '0', '--out', out, '--device', 'cpu', '--tls-cert', fixture('named-server.crt'), '--tls-key', fixture('named-server.key'));
  expect(said).toContain(`run --rounds 3 --stream --out ${out}`);
  expect(await ok('server', 'status', '--out', out)).toContain('no client has joined yet');
  // By its address alone it is a stranger.
  const stranger = await runProgram('server', ['status', '--server', /zk0-server is at (\S+)/.exec(said)![1]!], home.path);
  expect(stranger.stderr).toContain("the server's certificate is not accepted");
  await ok('server', 'stop', '--process', '--out', out);
});

it('a program that cannot start in the background says why', { timeout: 180_000 }, async () => {
  const { code, stderr } = await runProgram('client', ['start', '--detach', '--server', 'http://127.0.0.1:9', '--dataset', join(home.path, 'nowhere')], home.path);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: .*nowhere/m);
});

it('without a terminal a client says what it does in plain lines, and its log has the whole ones', { timeout: 180_000 }, async () => {
  const state = join(home.path, 'plain');
  const client = startProgram('client', ['start', '--wait', '--server', 'http://127.0.0.1:9', '--dataset', demo('lift-can'), '--state', state], home.path);
  await client.until(/^\d\d:\d\d:\d\d warning: no connection \(attempt 1\)/m);
  expect(client.stderr()).not.toContain('PID:');
  client.child.kill('SIGTERM');
  expect(await client.exited).toBe(0);
  expect(readFileSync(join(state, 'client.log'), 'utf8')).toMatch(/\| WARNING {2}\| client_\S+ \| PID:\d+ \| \S+ - no connection/);
});

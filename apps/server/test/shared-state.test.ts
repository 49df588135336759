import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort, lacksBackends, startBackends, type Backends } from './backends.ts';
import { StickyForwarder } from './many-servers/sticky-forwarder.ts';
import { killStartedPrograms, runProgram, startProgram, temporaryDirectory, type RunningProgram } from './cli.ts';

const home = temporaryDirectory();
afterAll(home.remove);

const tiny = ['--policy', 'tiny', '--local-steps', '2', '--batch-size', '2', '--set', 'evaluateBatches=1'];
const demo = (task: string): string => `demo:${task}?episodes=2&seed=1`;

describe.skipIf(lacksBackends !== undefined)(`a server whose state is on NATS and S3${lacksBackends === undefined ? '' : ` (${lacksBackends})`}`, () => {
  const environment = { ...process.env };
  let backends: Backends;
  beforeAll(async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
    backends = await startBackends();
  });
  afterEach(killStartedPrograms);
  afterAll(async () => {
    process.env = environment;
    await backends.close();
  });

  const start = async (port: number, out: string, ...more: string[]): Promise<{ readonly server: RunningProgram; readonly url: string }> => {
    const server = startProgram('server', ['start', '--port', String(port), '--out', join(home.path, out), '--device', 'cpu', ...more], home.path);
    return { server, url: (await server.until(/zk0-server is at (http\S+)/))[1]! };
  };
  const shared = (): string[] => ['--backend', backends.nats, '--blobs', backends.blobs];
  const join2 = (url: string): RunningProgram[] =>
    ['cube-to-bowl', 'push-block-left'].map((task, id) => startProgram('client', ['start', '--server', url, '--dataset', demo(task), '--id', String(id), '--threads', '1', '--device', 'cpu', '--state', join(home.path, `client-${new URL(url).port}-${id}`)], home.path));
  const submit = async (url: string): Promise<string> => {
    const run = startProgram('server', ['run', '--server', url, '--rounds', '3', '--min-clients', '2', '--held-out', demo('stack-cubes'), '--seed', '7', ...tiny], home.path);
    return (await run.until(/run (\S+) is submitted/))[1]!;
  };
  /** The hash of a run's parameters once it has got there. */
  const parametersAt = async (url: string, runId: string, isThere: (run: { phase: string; round: number; roundPhase: string }) => boolean): Promise<string> => {
    for (;;) {
      const { stdout } = await runProgram('server', ['status', '--json', '--server', url], home.path);
      const { runs } = JSON.parse(stdout) as { runs: { runId: string; phase: string; round: number; roundPhase: string; parameters: string }[] };
      const run = runs.find((one) => one.runId === runId)!;
      expect(['waiting_for_clients', 'running', 'finished']).toContain(run.phase);
      if (isThere(run)) return run.parameters;
    }
  };

  it('ends with the bytes of an embedded one, though it is killed, and another goes on elsewhere', { timeout: 480_000 }, async () => {
    const embedded = await start(0, 'embedded');
    const clients = join2(embedded.url);
    const alone = await parametersAt(embedded.url, await submit(embedded.url), ({ phase }) => phase === 'finished');
    for (const { child } of clients) child.kill('SIGKILL');

    const port = await freePort();
    const first = await start(port, 'first', ...shared());
    join2(first.url);
    const runId = await submit(first.url);
    await parametersAt(first.url, runId, ({ round }) => round >= 2);
    first.server.child.kill('SIGKILL');
    await first.server.exited;
    // It has nothing of the first one's machine, and waits until that one's lease has expired.
    const second = await start(port, 'second', ...shared());
    expect(await parametersAt(second.url, runId, ({ phase }) => phase === 'finished')).toBe(alone);
    const { stdout } = await runProgram('server', ['status', '--server', second.url], home.path);
    expect(stdout).toContain('finished');
  });

  it('lets a node in that enrolled at another server of the same state', { timeout: 240_000 }, async () => {
    const ports = [await freePort(), await freePort()];
    const servers = await Promise.all(ports.map((port) => start(port, `enrols-${port}`, ...shared(), '--enrolment')));
    const forwarder = await StickyForwarder.start(ports, 0);
    try {
      const { stdout: token } = await runProgram('server', ['token', 'create', '--backend', backends.nats], home.path);
      const node = join(home.path, 'node');
      const enrolled = await runProgram('client', ['enroll', '--server', forwarder.url, '--id', 'a', '--token', token.trim()], node, home.path);
      expect(enrolled.code, enrolled.stderr).toBe(0);
      servers[0]!.server.child.kill('SIGKILL');
      await servers[0]!.server.exited;
      startProgram('client', ['start', '--server', forwarder.url, '--dataset', demo('cube-to-bowl'), '--threads', '1', '--device', 'cpu'], node, home.path);
      await servers[1]!.server.until(/client a joined/);
      const { stdout } = await runProgram('server', ['node', 'list', '--backend', backends.nats], home.path);
      expect(stdout).toMatch(/^a +approved/m);
    } finally {
      await forwarder.close();
    }
  });

  it('refuses roles that need a state which is shared, in one line', { timeout: 60_000 }, async () => {
    const { code, stderr } = await runProgram('server', ['start', '--role', 'front', '--port', '0', '--out', join(home.path, 'roles')], home.path);
    expect(code).not.toBe(0);
    expect(stderr.trim().split('\n').at(-1)).toMatch(/^error: .*--role front needs a ledger and blobs that several processes share/);
  });

  it('is kept from what does not fit, in one line', { timeout: 240_000 }, async () => {
    const refused = async (out: string, ...more: string[]): Promise<string> => {
      const { code, stderr } = await runProgram('server', ['start', '--port', '0', '--out', join(home.path, out), '--device', 'cpu', ...more], home.path);
      expect(code).not.toBe(0);
      return stderr.trim().split('\n').at(-1)!;
    };
    const running = await start(0, 'kept', ...shared());
    expect(await refused('kept', ...shared())).toMatch(/^error: .*another server works with it/);
    running.server.child.kill('SIGKILL');
    await running.server.exited;
    expect(await refused('kept')).toMatch(/^error: .* belongs to a server whose ledger is on NATS/);
    expect(await refused('away', '--backend', `nats://127.0.0.1:${await freePort()}`)).toMatch(/^error: nats:\/\/127\.0\.0\.1:\d+: no NATS server answers/);
    expect(await refused('away', '--backend', 'nats://me:secret@127.0.0.1')).toMatch(/^error: (?!.*secret).*holds credentials/);
    expect(await refused('away', '--blobs', backends.blobs.replace('zk0-models', 'zk0-nothing'))).toMatch(/^error: .*there is no bucket zk0-nothing/);
  });
});

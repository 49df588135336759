import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { hashes, killStartedPrograms, runProgram, startProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

/** A run small enough for a test; everything else is as in production. */
const tiny = ['--policy', 'tiny', '--local-steps', '4', '--batch-size', '4', '--set', 'evaluateBatches=1'];
const demo = (task: number): string => `demo:${demoNames[task]!}?episodes=2&seed=1&fps=5&width=64&height=48`;
const demoNames = ['cube-to-bowl', 'push-block-left', 'stack-cubes'];

function readJson(...path: string[]): unknown {
  return JSON.parse(readFileSync(join(...path), 'utf8'));
}

async function simulate(out: string, seed: number, ...more: string[]): Promise<string> {
  const args = ['simulate', '--clients', '2', '--rounds', '2', '--seed', String(seed), '--threads', '1', '--out', out, ...tiny, ...more];
  const datasets = ['--dataset', demo(0), '--dataset', demo(1), '--held-out', demo(2)];
  const { code, stdout, stderr } = await runProgram('server', [...args, ...datasets], home.path);
  expect(code, stderr).toBe(0);
  return stdout;
}

describe('a simulated federation', () => {
  it('leaves every file it promises, and repeats to the byte with the same seed', { timeout: 480_000 }, async () => {
    const first = join(home.path, 'first');
    const stdout = await simulate(first, 1);
    expect(stdout).toContain('held-out loss');
    expect(stdout).toContain(join(first, 'models', 'checkpoint_round_2'));
    for (const file of [
      'simulation.log',
      'config.json',
      'metrics.jsonl',
      'server/server.log',
      'server/round_0_server_eval.json',
      'server/round_2_server_eval.json',
      'server/federated_metrics.json',
      'server/federated_metrics.png',
      'server/eval_policy_loss_history.json',
      'server/eval_policy_loss_chart.png',
      'clients/client_0/client.log',
      'clients/client_0/round_1.json',
      'clients/client_1/round_2.json',
      'models/checkpoint_round_2/config.json',
      'models/checkpoint_round_2/model.safetensors',
      'models/checkpoint_round_2/README.md',
      'models/checkpoint_round_2/metrics.json',
    ]) {
      expect(existsSync(join(first, file)), file).toBe(true);
    }
    expect(readFileSync(join(first, 'simulation.log'), 'utf8')).toMatch(/\| server-process:startServer:\d+ - listening on/);
    expect(existsSync(join(first, '.server', 'blobs'))).toBe(false);
    expect(existsSync(join(first, 'clients', 'client_0', '.state', 'blobs'))).toBe(false);
    const history = readJson(first, 'server', 'eval_policy_loss_history.json') as Record<string, { server_policy_loss: number }>;
    expect(Object.keys(history)).toEqual(['0', '1', '2']);

    // Updates that are sent without loss change nothing.
    await simulate(join(home.path, 'second'), 1, '--max-parallel', '1', '--set', 'checkpointForm=trained', '--update-encoding', 'delta', '--broadcast-encoding', 'delta');
    await simulate(join(home.path, 'third'), 2, '--rounds', '1');
    expect(hashes(first)).toHaveLength(3);
    expect(hashes(join(home.path, 'second'))).toEqual(hashes(first));
    expect(hashes(join(home.path, 'third'))[1]).not.toBe(hashes(first)[1]);

    const checkpoint = join(first, 'models', 'checkpoint_round_2');
    const evaluated = await runProgram('server', ['evaluate', '--policy', checkpoint, '--dataset', demo(2), '--json', '--batches', '1'], home.path);
    expect(evaluated.code, evaluated.stderr).toBe(0);
    expect((JSON.parse(evaluated.stdout) as { policyLoss: number }[])[0]!.policyLoss).toBeGreaterThan(0);

    const trained = join(home.path, 'second', 'models', 'checkpoint_round_2');
    expect(existsSync(join(trained, 'model.safetensors'))).toBe(false);
    const whole = join(home.path, 'whole');
    const joined = await runProgram('client', ['checkpoint', trained, '--out', whole], home.path);
    expect(joined.code, joined.stderr).toBe(0);
    for (const file of ['model.safetensors', 'config.json']) {
      expect(readFileSync(join(whole, file)).equals(readFileSync(join(checkpoint, file))), file).toBe(true);
    }
  });

  it('ends cleanly on Ctrl-C: the finished rounds have metrics and a checkpoint, no process stays', { timeout: 300_000 }, async () => {
    const out = join(home.path, 'interrupted');
    const args = ['simulate', '--clients', '2', '--rounds', '200', '--out', out, ...tiny];
    const datasets = ['--dataset', demo(0), '--dataset', demo(1), '--held-out', demo(2)];
    const program = startProgram('server', [...args, ...datasets], home.path);
    // Its line of results, not one of progress: on a busy machine those come earlier.
    await program.until(/round 1\/200 · held-out loss/);
    program.child.kill('SIGINT');
    expect(await program.exited).toBe(130);
    expect(readdirSync(join(out, 'models')).some((name) => /^checkpoint_round_\d+$/.test(name))).toBe(true);
    expect(hashes(out).length).toBeGreaterThanOrEqual(2);
    const log = readFileSync(join(out, 'simulation.log'), 'utf8');
    for (const pid of new Set([...log.matchAll(/PID:(\d+)/g)].map(([, pid]) => Number(pid)))) {
      expect(() => process.kill(pid, 0), `process ${pid} is still there`).toThrow();
    }
  });
});

describe('a server and clients started by hand', () => {
  it('run the same path, and the server goes on after a crash where it was', { timeout: 480_000 }, async () => {
    // Enough of them that the run is not over before the server is killed.
    const rounds = 8;
    const out = join(home.path, 'by-hand');
    let server = startProgram('server', ['start', '--port', '0', '--out', out, '--device', 'cpu'], home.path);
    const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
    const clients = [0, 1].map((id) =>
      startProgram('client', ['start', '--server', url, '--dataset', demo(id), '--id', String(id), '--threads', '1', '--device', 'cpu'], home.path),
    );
    const run = startProgram('server', ['run', '--server', url, '--rounds', String(rounds), '--held-out', demo(2), '--stream', ...tiny], home.path);
    const runId = (await run.until(/run (\S+) is submitted/))[1]!;
    const status = await runProgram('server', ['status', '--server', url], home.path);
    expect(status.stdout).toContain(runId);
    await run.until(/round 1\/8 · held-out loss/);

    // The hardest stop there is; the clients keep trying.
    server.child.kill('SIGKILL');
    await server.exited;
    await run.until(/the server has gone away/);
    const port = new URL(url).port;
    server = startProgram('server', ['start', '--port', port, '--out', out, '--device', 'cpu'], home.path);
    await server.until(/zk0-server is at/);
    for (;;) {
      const { stdout } = await runProgram('server', ['status', '--json', '--server', url], home.path);
      const { runs } = JSON.parse(stdout) as { runs: { runId: string; phase: string }[] };
      const found = runs.find((candidate) => candidate.runId === runId)!;
      expect(['running', 'finished']).toContain(found.phase);
      if (found.phase === 'finished') break;
    }
    expect(hashes(join(out, runId))).toHaveLength(rounds + 1);
    // Whoever followed the run has followed it over the crash, and sees each round once.
    expect(await run.exited, run.stderr()).toBe(0);
    expect(run.stderr()).toContain('the server is back');
    expect(run.stderr().match(/round \d\/8 · held-out loss/g)).toHaveLength(rounds);
    expect(run.stdout()).toMatch(/^ +8 +\d+\.\d{4}/m);
    for (const program of [...clients, server]) {
      program.child.kill('SIGTERM');
      await program.exited;
    }
  });
});

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Parameters } from '@zk0/core';
import { openBlobStore, readParameters } from '@zk0/storage';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { hashes, killStartedPrograms, ledgerEvents, runProgram, startProgram, temporaryDirectory, type RunningProgram } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

const ROUNDS = 3;
const run = ['--rounds', String(ROUNDS), '--seed', '5', '--local-steps', '3', '--batch-size', '2', '--policy', 'tiny', '--strategy', 'scaffold'];
const datasets = ['demo:cube-to-bowl?episodes=2&seed=1', 'demo:push-block-left?episodes=2&seed=2'];

/** What a client keeps of the last round. */
async function controlOf(state: string): Promise<Parameters> {
  const files = readdirSync(join(state, 'control'), { recursive: true, encoding: 'utf8' });
  return readParameters(join(state, 'control', files.find((file) => new RegExp(`[\\\\/]${ROUNDS}-\\w+\\.safetensors$`).test(file))!));
}

describe('scaffold', () => {
  it('keeps its control variates through crashes of the server and of a client, and does by hand what a simulation does', { timeout: 600_000 }, async () => {
    const simulated = join(home.path, 'simulated');
    const simulation = runProgram(
      'server',
      ['simulate', '--clients', '2', ...run, '--threads', '1', '--device', 'cpu', '--out', simulated, ...datasets.flatMap((uri) => ['--dataset', uri]), '--hold-out', '0'],
      home.path,
    );

    const out = join(home.path, 'by-hand');
    const state = (id: number): string => join(home.path, `state-${id}`);
    const serve = (port: string): RunningProgram => startProgram('server', ['start', '--port', port, '--out', out, '--device', 'cpu'], home.path);
    let server = serve('0');
    const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
    const startClient = (id: number): RunningProgram =>
      startProgram('client', ['start', '--server', url, '--dataset', datasets[id]!, '--id', String(id), '--threads', '1', '--device', 'cpu', '--state', state(id)], home.path);
    const clients = [startClient(0), startClient(1)];
    const submitted = await runProgram('server', ['run', '--server', url, ...run], home.path);
    const runId = /run (\S+) is submitted/.exec(submitted.stdout)![1]!;
    // Both die in the second round, wherever it is then.
    await server.until(/round 2: .*update accepted/);
    for (const program of [server, clients[1]!]) program.child.kill('SIGKILL');
    await Promise.all([server.exited, clients[1]!.exited]);
    server = serve(new URL(url).port);
    clients[1] = startClient(1);
    await server.until(/run \S+: finished/);
    for (const program of [...clients, server]) {
      program.child.kill('SIGTERM');
      await program.exited;
    }

    const { code, stderr } = await simulation;
    expect(code, stderr).toBe(0);
    expect(hashes(join(out, runId))).toHaveLength(ROUNDS + 1);
    expect(hashes(join(out, runId))).toEqual(hashes(simulated));

    const serverState = join(out, '.server');
    const states = (await ledgerEvents(out)).flatMap((event) => (event.type === 'round-aggregated' ? [event.strategyState!.hash] : []));
    expect(new Set(states).size).toBe(ROUNDS);
    const blobs = await openBlobStore(join(serverState, 'blobs'));
    const [common, ...own] = [await readParameters(blobs.path(states.at(-1)!)), await controlOf(state(0)), await controlOf(state(1))] as const;
    let [difference, size] = [0, 0];
    for (const [name, { data }] of own[0]) {
      for (const [index, value] of data.entries()) {
        const mean = (value + own[1].get(name)!.data[index]!) / 2;
        difference += (common.get(`control/${name}`)!.data[index]! - mean) ** 2;
        size += mean ** 2;
      }
    }
    expect(size).toBeGreaterThan(0);
    expect(Math.sqrt(difference / size)).toBeLessThan(1e-5);
  });
});

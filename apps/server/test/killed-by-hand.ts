import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { hashes, runProgram, startProgram, type RunningProgram } from './cli.ts';

export const ROUNDS = 3;
/** Optimiser steps of a client in all rounds. */
export const STEPS = 3 * ROUNDS;
const RUN = ['--rounds', String(ROUNDS), '--seed', '5', '--local-steps', String(STEPS / ROUNDS), '--batch-size', '2', '--policy', 'tiny'];
const DATASETS = ['demo:cube-to-bowl?episodes=2&seed=1', 'demo:push-block-left?episodes=2&seed=2'];

/** Where a federation that was killed has its files. */
export interface KilledFederation {
  /** The server's outputs. */
  readonly out: string;
  /** The outputs of the simulation. */
  readonly simulated: string;
  /** What client 0 or 1 keeps of the last round in a folder of its state: the path of a safetensors file. */
  readonly kept: (client: 0 | 1, folder: string) => string;
}

/**
 * A federation of two clients by hand, whose server and one client are killed in the second round, against a simulation that nobody
 * disturbs: their parameters must be the same after each round.
 *
 * @param settings more flags of the run.
 */
export async function expectKilledAsSimulated(home: string, settings: readonly string[]): Promise<KilledFederation> {
  const run = [...RUN, ...settings];
  const simulated = join(home, 'simulated');
  const simulation = runProgram(
    'server',
    ['simulate', '--clients', '2', ...run, '--threads', '1', '--device', 'cpu', '--out', simulated, ...DATASETS.flatMap((uri) => ['--dataset', uri]), '--hold-out', '0'],
    home,
  );

  const out = join(home, 'by-hand');
  const state = (id: number): string => join(home, `state-${id}`);
  const serve = (port: string): RunningProgram => startProgram('server', ['start', '--port', port, '--out', out, '--device', 'cpu'], home);
  let server = serve('0');
  const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
  const startClient = (id: number): RunningProgram =>
    startProgram('client', ['start', '--server', url, '--dataset', DATASETS[id]!, '--id', String(id), '--threads', '1', '--device', 'cpu', '--state', state(id)], home);
  const clients = [startClient(0), startClient(1)];
  const submitted = await runProgram('server', ['run', '--server', url, ...run], home);
  const runId = /run (\S+) is submitted/.exec(submitted.stdout)![1]!;
  // Both die in the second round, wherever it is then.
  await server.until(/round 2: .*update accepted/);
  for (const program of [server, clients[1]!]) program.child.kill('SIGKILL');
  await Promise.all([server.exited, clients[1]!.exited]);
  server = serve(new URL(url).port);
  await server.until(/zk0-server is at/);
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
  return {
    out,
    simulated,
    kept: (client, folder) => {
      const files = readdirSync(join(state(client), folder), { recursive: true, encoding: 'utf8' });
      return join(state(client), folder, files.find((file) => new RegExp(`[\\\\/]${ROUNDS}-[\\w-]+\\.safetensors$`).test(file))!);
    },
  };
}

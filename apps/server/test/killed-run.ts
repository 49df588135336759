import { join } from 'node:path';
import { expect } from 'vitest';
import { hashes, runProgram, startProgram, type RunningProgram } from './cli.ts';

export const ROUNDS = 3;
const settings = ['--rounds', String(ROUNDS), '--seed', '5', '--local-steps', '3', '--batch-size', '2', '--policy', 'tiny'];
const datasets = ['demo:cube-to-bowl?episodes=2&seed=1', 'demo:push-block-left?episodes=2&seed=2'];

/** What is left of it. */
export interface KilledRun {
  /** The outputs folder of its server. */
  readonly out: string;
  /** The state folder of a client. */
  readonly state: (id: number) => string;
  /** The outputs folder of the same run as a simulation, which nobody disturbed. */
  readonly simulated: string;
}

/** A run of two clients whose server and second client are killed in the second round: it must come to what an undisturbed simulation comes to. */
export async function killedRun(home: string, ...more: readonly string[]): Promise<KilledRun> {
  const run = [...settings, ...more];
  const simulated = join(home, 'simulated');
  const simulation = runProgram(
    'server',
    ['simulate', '--clients', '2', ...run, '--threads', '1', '--device', 'cpu', '--out', simulated, ...datasets.flatMap((uri) => ['--dataset', uri]), '--hold-out', '0'],
    home,
  );

  const out = join(home, 'by-hand');
  const state = (id: number): string => join(home, `state-${id}`);
  const serve = (port: string): RunningProgram => startProgram('server', ['start', '--port', port, '--out', out, '--device', 'cpu'], home);
  let server = serve('0');
  const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
  // Whichever of the two is there first.
  const startClient = (id: number): RunningProgram =>
    startProgram('client', ['start', '--wait', '--server', url, '--dataset', datasets[id]!, '--id', String(id), '--threads', '1', '--device', 'cpu', '--state', state(id)], home);
  const clients = [startClient(0), startClient(1)];
  const submitted = await runProgram('server', ['run', '--server', url, ...run], home);
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
  return { out, state, simulated };
}

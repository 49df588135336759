import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, ledgerEvents, metricRows, runProgram, startProgram, temporaryDirectory, type RunningProgram } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

// Enough of them that the run is not over before the server is killed.
const ROUNDS = 20;

it('a buffered run waits for nobody, and goes on where it was when its server is killed', { timeout: 600_000 }, async () => {
  const out = join(home.path, 'out');
  const serve = (port: string): RunningProgram => startProgram('server', ['start', '--port', port, '--out', out, '--device', 'cpu'], home.path);
  let server = serve('0');
  const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
  const clients = [0, 1].map((id) =>
    startProgram('client', ['start', '--server', url, '--dataset', `demo:cube-to-bowl?episodes=2&seed=${id + 1}`, '--id', String(id), '--threads', '1', '--device', 'cpu', '--state', join(home.path, `state-${id}`)], home.path),
  );
  const run = ['--strategy', 'fedbuff', '--set', 'strategy.bufferSize=1', '--rounds', String(ROUNDS), '--min-clients', '2', '--local-steps', '2', '--batch-size', '2', '--policy', 'tiny', '--seed', '5'];
  const submitted = await runProgram('server', ['run', '--server', url, ...run], home.path);
  expect(submitted.code, submitted.stderr).toBe(0);
  await server.until(/round 2: .*update accepted/);
  server.child.kill('SIGKILL');
  await server.exited;
  server = serve(new URL(url).port);
  await server.until(/run \S+: finished/);
  for (const program of [...clients, server]) {
    program.child.kill('SIGTERM');
    await program.exited;
  }

  const events = await ledgerEvents(out);
  const accepted = events.flatMap((event) => (event.type === 'update-accepted' ? [event] : []));
  expect(accepted.map(({ round }) => round)).toEqual(Array.from({ length: ROUNDS }, (_, index) => index + 1));
  // Each update makes new parameters: with two clients, what one began is a version old when it answers.
  const ages = accepted.map(({ round, began = round }) => round - began);
  expect(Math.max(...ages)).toBeGreaterThan(0);
  const { runId } = events.find((event) => event.type === 'run-created')!;
  const rows = metricRows(join(out, runId)) as unknown as { type: string; round: number; staleness?: number }[];
  const staleness = rows.filter(({ type }) => type === 'client').map((row) => row.staleness);
  expect(staleness).toEqual(ages);
});

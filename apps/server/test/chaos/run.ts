/**
 * A federation of real processes on a bad network, with servers and clients killed at random: whether it ends in the very bytes of the
 * same federation left alone. `npx nx chaos apps-server -- --kills 500 --rounds 10 --clients 5 --seed 1` (built programs).
 */
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Random } from '@zk0/core';
import { chaosProxy } from '@zk0/transport/testing';
import { hashes, killStartedPrograms, runProgram, startProgram, temporaryDirectory, type RunningProgram } from '../cli.ts';

const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  options: {
    kills: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '10' },
    clients: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    /** Between two kills, at most, in seconds. */
    pause: { type: 'string', default: '6' },
  },
});
const [kills, rounds, clients, pause] = [values.kills, values.rounds, values.clients, values.pause].map(Number) as [number, number, number, number];
const random = new Random(`chaos/${values.seed}`);
const home = temporaryDirectory();
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const datasets = Array.from({ length: clients }, (_, index) => `demo:cube-to-bowl?episodes=1&seed=${index + 1}`);
const settings = ['--rounds', String(rounds), '--seed', values.seed, '--policy', 'tiny', '--local-steps', '4', '--batch-size', '2'];

/** The federation left alone: hashes of the parameters, round by round. */
async function undisturbed(): Promise<string[]> {
  const out = join(home.path, 'undisturbed');
  const args = ['simulate', '--clients', String(clients), ...settings, '--threads', '1', '--device', 'cpu', '--hold-out', '0', '--out', out];
  const { code, stderr } = await runProgram('server', [...args, ...datasets.flatMap((uri) => ['--dataset', uri])], home.path);
  if (code !== 0) throw new Error(`the undisturbed federation failed: ${stderr}`);
  return hashes(out);
}

/** The same with kills and a bad network. */
async function disturbed(): Promise<{ readonly hashes: string[]; readonly killed: Record<'server' | 'client', number>; readonly faults: string }> {
  const out = join(home.path, 'disturbed');
  const serve = (port: string): RunningProgram => startProgram('server', ['start', '--enrolment', '--port', port, '--out', out, '--device', 'cpu'], home.path);
  let server = serve('0');
  const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
  const proxy = await chaosProxy(url, { seed: values.seed, share: 0.3, maxBytes: 4 << 20, maxDelayMs: 300 });
  const homes = datasets.map((_, index) => join(home.path, `home-${index}`));
  const { stdout: token } = await runProgram('server', ['token', 'create', '--uses', String(clients), '--out', out], home.path);
  proxy.calm = true;
  for (const [index, own] of homes.entries()) {
    const { code, stderr } = await runProgram('client', ['enroll', '--server', proxy.url, '--id', String(index), '--token', token.trim()], own, home.path);
    if (code !== 0) throw new Error(`client ${index} could not enrol: ${stderr}`);
  }
  const startClient = (index: number): RunningProgram =>
    startProgram('client', ['start', '--server', proxy.url, '--dataset', datasets[index]!, '--threads', '1', '--device', 'cpu'], homes[index]!, home.path);
  const running = datasets.map((_, index) => startClient(index));
  const submit = ['run', '--server', url, '--out', out, '--min-clients', String(clients), ...settings];
  const submitted = await runProgram('server', submit, home.path);
  const runId = /run (\S+) is submitted/.exec(submitted.stdout)?.[1];
  if (runId === undefined) throw new Error(`no run was submitted: ${submitted.stderr}`);
  proxy.calm = false;

  const killed = { server: 0, client: 0 };
  const isOver = (): boolean => /run \S+: (finished|failed|stopped)/.test(server.stdout() + server.stderr());
  while (!isOver()) {
    await wait(1000 * pause * random.uniform());
    if (killed.server + killed.client >= 2 * kills || isOver()) continue;
    if (killed.server < kills && (killed.client >= kills || random.below(2) === 0)) {
      server.child.kill('SIGKILL');
      await server.exited;
      server = serve(new URL(url).port);
      killed.server++;
    } else {
      const index = random.below(clients);
      running[index]!.child.kill('SIGKILL');
      await running[index]!.exited;
      running[index] = startClient(index);
      killed.client++;
    }
    if ((killed.server + killed.client) % 10 === 0) say(`${killed.server} kills of the server, ${killed.client} of clients`);
  }
  await wait(2000);
  for (const program of [...running, server]) program.child.kill('SIGTERM');
  await Promise.all([...running, server].map(({ exited }) => exited));
  await proxy.close();
  return { hashes: hashes(join(out, runId)), killed, faults: JSON.stringify(proxy.faults) };
}

try {
  const expected = await undisturbed();
  say(`undisturbed: ${rounds} rounds, ${expected.at(-1)!}`);
  const begun = performance.now();
  const { hashes: found, killed, faults } = await disturbed();
  const isSame = JSON.stringify(found) === JSON.stringify(expected);
  say(`${killed.server} kills of the server, ${killed.client} of clients, faults of the network ${faults}, ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  say(isSame ? `the same bytes in all ${rounds} rounds` : `OTHER BYTES:\n${found.join('\n')}\ninstead of\n${expected.join('\n')}`);
  process.exitCode = isSame ? 0 : 1;
} finally {
  killStartedPrograms();
  home.remove();
}

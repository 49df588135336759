import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, ledgerEvents, metricRows, runProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

const ROUNDS = 3;
const tiny = ['--policy', 'tiny', '--rounds', String(ROUNDS), '--seed', '3', '--local-steps', '2', '--batch-size', '2'];
const tasks = ['cube-to-bowl', 'push-block-left', 'stack-cubes'];

/** What a client says of a round that it was asked for. */
interface ClientRound {
  readonly round: number;
  readonly lr?: number;
  readonly mu?: number;
}

async function simulate(out: string, ...more: string[]): Promise<void> {
  const datasets = tasks.flatMap((task) => ['--dataset', `demo:${task}?episodes=1&seed=1`]);
  const args = ['simulate', '--clients', '3', ...tiny, '--hold-out', '0', '--threads', '1', '--device', 'cpu', '--out', out, ...more, ...datasets];
  const { code, stderr } = await runProgram('server', args, home.path);
  expect(code, stderr).toBe(0);
}

function roundsOf(out: string, client: number): ClientRound[] {
  const folder = join(out, 'clients', `client_${client}`);
  const files = readdirSync(folder).filter((name) => /^round_\d+\.json$/.test(name));
  return files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as ClientRound).sort((a, b) => a.round - b.round);
}

it('a schedule reaches the clients: they train with its learning rate and its proximal term', { timeout: 300_000 }, async () => {
  const out = join(home.path, 'scheduled');
  const schedule = ['--set', 'learningRate=1e-3', '--set', 'strategy.proximalMu=0.02', '--set', 'strategy.schedule.decay.kind=cosine'];
  await simulate(out, ...schedule, '--set', 'strategy.schedule.decay.final=0.1');
  for (const client of [0, 1, 2]) {
    const rounds = roundsOf(out, client);
    expect(rounds.map(({ round }) => round)).toEqual([1, 2, 3]);
    expect(rounds[0]!.lr).toBeCloseTo(1e-3, 9);
    expect(rounds[1]!.lr).toBeLessThan(rounds[0]!.lr!);
    expect(rounds[2]!.lr).toBeLessThan(rounds[1]!.lr!);
    expect(rounds.map(({ mu }) => mu)).toEqual([0.02, 0.02, 0.02]);
  }
});

it('of the clients asked, a round takes as many as it wants; the others have not failed', { timeout: 300_000 }, async () => {
  const out = join(home.path, 'over-selected');
  await simulate(out, '--set', 'minClients=1', '--set', 'fraction=0.34', '--set', 'overSelection=2');
  const rows = metricRows(out);
  expect(rows.filter(({ type }) => type === 'client').map(({ round }) => round)).toEqual([1, 2, 3]);
  expect(rows.filter(({ type }) => type === 'missing')).toEqual([]);
  const events = await ledgerEvents(out);
  const asked = events.flatMap((event) => (event.type === 'round-configured' ? [[event.wanted, event.assignments.length]] : []));
  expect(asked).toEqual([1, 2, 3].map(() => [1, 3]));
});

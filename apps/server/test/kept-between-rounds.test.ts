import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openSafetensors } from '@zk0/storage';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, ledgerEvents, metricRows, runProgram, temporaryDirectory } from './cli.ts';
import { expectKilledAsSimulated, ROUNDS, STEPS } from './killed-by-hand.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

const SETTINGS = ['--strategy', 'fedavg', '--client-optimizer', 'keep', '--update-encoding', 'int4', '--broadcast-encoding', 'int8'];

it('moments and what rounding left over are kept through crashes of the server and of a client, and a simulation does the same', { timeout: 600_000 }, async () => {
  const { out, kept, simulated } = await expectKilledAsSimulated(home.path, SETTINGS);
  const events = await ledgerEvents(out);
  for (const client of [0, 1] as const) {
    const file = await openSafetensors(kept(client, 'optimizer'));
    // Of all rounds, each counted once, although one of them was trained twice.
    expect(file.metadata).toMatchObject({ client: String(client), steps: String(STEPS) });
    await file.close();
  }
  expect(events.flatMap((event) => (event.type === 'run-created' ? [event.config.clientOptimizer] : []))).toEqual(['keep']);

  const whole = events.find((event) => event.type === 'run-started')!.parameters.byteLength;
  const sent = events.flatMap((event) => (event.type === 'update-accepted' ? [event.update] : []));
  expect(sent).toHaveLength(2 * ROUNDS);
  // Each value takes 0.53 bytes in place of 4; the tiny policy has much header for its values.
  for (const { byteLength } of sent) expect(byteLength).toBeLessThan(0.25 * whole);
  expect(sent.slice(-2).map(({ hash }) => `${ROUNDS}-${hash}`)).toContain(basename(kept(1, 'residual')).slice(0, `${ROUNDS}-`.length + 64));

  const [log, config] = [join(simulated, 'simulation.log'), join(simulated, 'config.json')].map((path) => readFileSync(path, 'utf8')) as [string, string];
  expect(log.match(/the update has .* instead of .* \(int4\)/g)).toHaveLength(2 * ROUNDS);
  expect(log).not.toContain('is lost');
  expect(config).toMatch(/"updateEncoding": "int4"/);
  expect(log.match(/the parameters came as .* instead of .* \(int8\)/g)).toHaveLength(2 * (ROUNDS - 1));
  const rows = metricRows(simulated).filter(({ type }) => type === 'client') as unknown as { round: number; bytes_up: number; bytes_down: number }[];
  expect(rows).toHaveLength(2 * ROUNDS);
  for (const { round, bytes_up: up, bytes_down: down } of rows) {
    expect(up).toBeLessThan(0.25 * whole);
    expect(down / whole).toBeLessThan(round === 1 ? 1.1 : 0.4);
  }
});

it('moments are refused with LoRA before anything starts', async () => {
  const { code, stderr } = await runProgram('server', ['simulate', '--clients', '2', '--lora-rank', '16', '--client-optimizer', 'keep'], home.path);
  expect(code).not.toBe(0);
  expect(stderr).toContain('clientOptimizer keep: the run trains factors of low rank (loraRank 16)');
  const wrong = await runProgram('server', ['simulate', '--clients', '2', '--client-optimizer', 'sometimes'], home.path);
  expect(wrong.code).not.toBe(0);
  expect(wrong.stderr).toContain('--client-optimizer must be one of restart, keep');
});

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, ledgerEvents, metricRows, temporaryDirectory } from './cli.ts';
import { expectKilledAsSimulated, ROUNDS } from './killed-by-hand.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

it('updates of four bits, and parameters of eight, come to the same through crashes of the server and of a client', { timeout: 600_000 }, async () => {
  const { out, kept, simulated } = await expectKilledAsSimulated(home.path, ['--update-encoding', 'int4', '--broadcast-encoding', 'int8']);
  const events = await ledgerEvents(out);
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

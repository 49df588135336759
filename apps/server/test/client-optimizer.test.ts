import { openSafetensors } from '@zk0/storage';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, ledgerEvents, runProgram, temporaryDirectory } from './cli.ts';
import { expectKilledAsSimulated, STEPS } from './killed-by-hand.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

it('moments of AdamW are kept through crashes of the server and of a client, and what is done by hand is what a simulation does', { timeout: 600_000 }, async () => {
  const { out, kept } = await expectKilledAsSimulated(home.path, ['--strategy', 'fedavg', '--client-optimizer', 'keep']);
  for (const client of [0, 1] as const) {
    const file = await openSafetensors(kept(client, 'optimizer'));
    // Of all rounds, each counted once, although one of them was trained twice.
    expect(file.metadata).toMatchObject({ client: String(client), steps: String(STEPS) });
    await file.close();
  }
  const settings = (await ledgerEvents(out)).flatMap((event) => (event.type === 'run-created' ? [event.config.clientOptimizer] : []));
  expect(settings).toEqual(['keep']);
});

it('they are refused with LoRA before anything starts', async () => {
  const { code, stderr } = await runProgram('server', ['simulate', '--clients', '2', '--lora-rank', '16', '--client-optimizer', 'keep'], home.path);
  expect(code).not.toBe(0);
  expect(stderr).toContain('clientOptimizer keep: the run trains factors of low rank (loraRank 16)');
  const wrong = await runProgram('server', ['simulate', '--clients', '2', '--client-optimizer', 'sometimes'], home.path);
  expect(wrong.code).not.toBe(0);
  expect(wrong.stderr).toContain('--client-optimizer must be one of restart, keep');
});

import { join } from 'node:path';
import { openBlobStore, readParameters } from '@zk0/storage';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { killStartedPrograms, ledgerEvents, temporaryDirectory } from './cli.ts';
import { expectKilledAsSimulated } from './killed-by-hand.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

describe('scaffold', () => {
  it('keeps its control variates through crashes of the server and of a client, and does by hand what a simulation does', { timeout: 600_000 }, async () => {
    const { out, kept } = await expectKilledAsSimulated(home.path, ['--strategy', 'scaffold']);
    const states = (await ledgerEvents(out)).flatMap((event) => (event.type === 'round-aggregated' ? [event.strategyState!.hash] : []));
    expect(states.length).toBeGreaterThan(1);
    expect(new Set(states).size).toBe(states.length);
    const blobs = await openBlobStore(join(out, '.server', 'blobs'));
    const [common, ...own] = [await readParameters(blobs.path(states.at(-1)!)), await readParameters(kept(0, 'control')), await readParameters(kept(1, 'control'))] as const;
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

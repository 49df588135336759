import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPolicy } from '../src/open-policy.ts';
import { computeRaw, RAW_CASES, rawNormalizer, writeRawCheckpoint } from './raw-cases.ts';

interface Golden {
  readonly name: string;
  readonly baseHash: string;
  readonly loss: number;
  readonly actions: readonly (readonly number[])[];
}

/** What LeRobot made of the cases, see `golden/raw/make.py`. */
const { cases } = JSON.parse(readFileSync(fileURLToPath(new URL('../golden/raw/cases.json', import.meta.url)), 'utf8')) as { readonly cases: readonly Golden[] };

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'zk0-raw-golden-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('raw pixels, joint values and words give LeRobot’s loss and actions', () => {
  it.each(RAW_CASES.map((one) => [one.name, one] as const))('%s', async (name, one) => {
    const golden = cases.find((known) => known.name === name)!;
    const checkpoint = join(root, name);
    await writeRawCheckpoint(one, checkpoint, root);
    const policy = await openPolicy(checkpoint, { device: 'cpu', threads: 1 });
    // Where the preset has changed, so have its answers: make the golden file again.
    expect(policy.baseHash).toBe(golden.baseHash);
    const { loss, actions } = await computeRaw(one, policy);
    await policy.close();
    // Most of the loss is the actions' own size: what the model adds to it shows far behind the point.
    expect(Math.abs(loss / golden.loss - 1)).toBeLessThan(5e-7);
    const { std } = rawNormalizer(one).action;
    const apart = golden.actions.map((chunk, sample) => Math.max(...chunk.map((value, at) => Math.abs(value - actions[sample]![at]!) / std[at % one.axes]!)));
    expect(Math.max(...apart)).toBeLessThan(1e-4);
    expect(actions.map(({ length }) => length)).toEqual(golden.actions.map(({ length }) => length));
  });
});

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryTensorSource, momentSpecs, type TensorSpec } from '@zk0/core';
import { readParameters, writeTensors } from '@zk0/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OptimizerStore } from './optimizer-store.ts';
import type { UpdatePosition } from './run-files.ts';

const parameters: readonly TensorSpec[] = [{ name: 'w', dtype: 'F32', shape: [2] }];
const moments = (first: number, second: number): MemoryTensorSource =>
  MemoryTensorSource.fromParameters(new Map([first, second].map((value, index) => [momentSpecs(parameters)[index]!.name, { shape: [2], data: Float32Array.of(value, value) }])));
const update = (letter: string): string => letter.repeat(64);

let directory: string;
let store: OptimizerStore;

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'zk0-optimizer-')), 'optimizer');
  store = new OptimizerStore(directory, 'anna');
});
afterEach(() => {
  rmSync(join(directory, '..'), { recursive: true, force: true });
});

const at = (round: number, last: UpdatePosition['last'] = null, runId = 'run'): UpdatePosition => ({ runId, round, last });

/** What a task finds: steps and first values of both moments, nothing, or why what there was is lost. */
async function found(position: UpdatePosition, specs = parameters): Promise<readonly number[] | null | string> {
  const { state, lost } = await store.open(position, specs);
  if (state === null) return lost ?? null;
  const values = [...(await readParameters(state.moments)).values()].map(({ data }) => data[0]!);
  await state.moments.close();
  return [state.stepsTaken, ...values];
}

/** A round up to the moment before its update is sent. */
async function train(position: UpdatePosition, stepsTaken: number, sent: string): Promise<void> {
  const { state } = await store.open(position, parameters);
  await state?.moments.close();
  await store.name(position, await store.write(position, { stepsTaken, moments: moments(stepsTaken, 10 * stepsTaken) }), sent);
}

const files = (): string[] => readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.safetensors'));

describe('an optimiser’s moments', () => {
  it('begin with zero, and go on from the update that the server counted', async () => {
    expect(await found(at(1))).toBeNull();
    await train(at(1), 4, update('a'));
    await train(at(2, { round: 1, update: update('a') }), 8, update('b'));
    expect(await found(at(3, { round: 2, update: update('b') }))).toEqual([8, 8, 80]);
    expect(files()).toHaveLength(1);
  });

  it('stay where they were when the update did not count, and are there when it did, whichever was told first', async () => {
    await train(at(1), 4, update('a'));
    const last = { round: 1, update: update('a') };
    await train(at(2, last), 8, update('b'));
    await train(at(2, last), 9, update('c'));
    expect(await found(at(2, last))).toEqual([4, 4, 40]);
    expect(files()).toHaveLength(3);
    expect(await found(at(3, { round: 2, update: update('c') }))).toEqual([9, 9, 90]);
    expect(files()).toHaveLength(1);
  });

  it('are those of the round that counted where two rounds sent the same bytes', async () => {
    await train(at(1), 4, update('a'));
    await train(at(2, { round: 1, update: update('a') }), 8, update('a'));
    expect(await found(at(2, { round: 1, update: update('a') }))).toEqual([4, 4, 40]);
    expect(await found(at(3, { round: 1, update: update('a') }))).toEqual([4, 4, 40]);
    await train(at(3, { round: 1, update: update('a') }), 12, update('a'));
    expect(await found(at(4, { round: 3, update: update('a') }))).toEqual([12, 12, 120]);
  });

  it('that were written and not named are not found, and not left', async () => {
    await store.open(at(1), parameters);
    await store.write(at(1), { stepsTaken: 4, moments: moments(1, 2) });
    const [folder] = readdirSync(directory);
    expect(readdirSync(join(directory, folder!))).toHaveLength(1);
    expect(await found(at(1))).toBeNull();
    expect(readdirSync(join(directory, folder!))).toHaveLength(0);
  });

  it('are reported as lost when their file is gone, damaged, of other tensors, or without its steps', async () => {
    await train(at(1), 4, update('a'));
    const position = at(2, { round: 1, update: update('a') });
    const path = join(directory, files()[0]!);
    const whole = readFileSync(path);
    expect(await found(position, [{ name: 'w', dtype: 'F32', shape: [3] }])).toContain('belongs to another run or model');
    writeFileSync(path, 'short');
    expect(await found(position)).toMatch(/safetensors|short|header/);
    // One bit of a value: nothing else tells.
    const flipped = Buffer.from(whole);
    flipped[flipped.length - 1]! ^= 1;
    writeFileSync(path, flipped);
    expect(await found(position)).toContain('is damaged');
    writeFileSync(path, whole);
    expect(await found(position)).toEqual([4, 4, 40]);
    const { hash } = await writeTensors(path, moments(1, 2), { metadata: { run: 'run', client: 'anna', steps: '1.5' } });
    rmSync(path);
    await writeTensors(path.replace(/[0-9a-f]{64}\.safetensors$/, `${hash}.safetensors`), moments(1, 2), { metadata: { run: 'run', client: 'anna', steps: '1.5' } });
    expect(await found(position)).toContain('does not say how many steps');
    rmSync(join(directory, files()[0]!));
    expect(await found(position)).toContain('it is not in');
  });

  it('of other runs and clients are not used, and those of other runs not left', async () => {
    await train(at(1), 4, update('a'));
    expect(await new OptimizerStore(directory, 'ben').open(at(2, { round: 1, update: update('a') }), parameters)).toMatchObject({ state: null });
    await train(at(1, null, '../../elsewhere'), 3, update('b'));
    expect(readdirSync(directory)).toHaveLength(1);
    expect(files()).toHaveLength(1);
    await store.clear();
    expect(existsSync(directory)).toBe(false);
  });

  it('are refused by what the folder says, not called lost, where it cannot be used', async () => {
    writeFileSync(directory, 'a file');
    await expect(store.open(at(1), parameters)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
  });
});

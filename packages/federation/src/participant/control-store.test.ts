import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryTensorSource, type BlobReference, type TensorSource } from '@zk0/core';
import { openBlobStore, readParameters } from '@zk0/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControlStore } from './control-store.ts';

const variate = (...values: number[]): MemoryTensorSource =>
  MemoryTensorSource.fromParameters(new Map([['w', { shape: [values.length], data: Float32Array.from(values) }]]));
const valuesOf = async (source: TensorSource): Promise<number[]> => [...(await readParameters(source)).get('w')!.data];
const { specs } = variate(0, 0);

let root: string;
let directory: string;
let store: ControlStore;
let blobPath: (blob: BlobReference) => string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'zk0-control-'));
  directory = join(root, 'control');
  const blobs = await openBlobStore(join(root, 'blobs'));
  blobPath = ({ hash }) => blobs.path(hash);
  store = new ControlStore(directory, 'anna', blobs);
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const at = (round: number, last: string | null, runId = 'run'): { runId: string; round: number; last: string | null } => ({
  runId, round, last,
});

/** What a task finds, and what it would find if it came again. */
async function found(position: ReturnType<typeof at>): Promise<{ values: number[] | null; lost: boolean }> {
  const { variate: file, lost } = await store.open(position, specs);
  const values = file === null ? null : await valuesOf(file);
  await file?.close();
  return { values, lost: lost !== undefined };
}

/** A round up to the moment before anything is sent. */
async function train(position: ReturnType<typeof at>, ...next: number[]): Promise<string> {
  const { variate: before } = await store.open(position, specs);
  const change = await store.save(position, before, variate(...next));
  await before?.close();
  return change.hash;
}

const files = (): string[] => readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.safetensors'));

describe('a client’s control variate', () => {
  it('begins with zero, and goes on from the change that the server counted', async () => {
    expect(await found(at(1, null))).toEqual({ values: null, lost: false });
    const first = await train(at(1, null), 1, 2);
    expect(await valuesOf(MemoryTensorSource.fromParameters(await readParameters(blobPath({ hash: first, byteLength: 0 }))))).toEqual([1, 2]);
    const second = await train(at(2, first), 5, 5);
    expect(await valuesOf(MemoryTensorSource.fromParameters(await readParameters(blobPath({ hash: second, byteLength: 0 }))))).toEqual([4, 3]);
    expect(await found(at(3, second))).toEqual({ values: [5, 5], lost: false });
    expect(files()).toHaveLength(1);
  });

  it('stays where it was when the update did not count, and is there when it did, whichever was told first', async () => {
    const first = await train(at(1, null), 1, 2);
    const second = await train(at(2, first), 5, 5);
    // The same round again: the result was not heard of, and this time something else came out.
    const again = await train(at(2, first), 6, 6);
    expect(await found(at(2, first))).toEqual({ values: [1, 2], lost: false });
    expect(files()).toHaveLength(3);
    expect(await found(at(3, second))).toEqual({ values: [5, 5], lost: false });
    expect(await found(at(3, again))).toEqual({ values: null, lost: true });
  });

  it('goes back to the older one in the next round', async () => {
    const first = await train(at(1, null), 1, 2);
    await train(at(2, first), 5, 5);
    expect(await found(at(3, first))).toEqual({ values: [1, 2], lost: false });
    expect(files()).toHaveLength(1);
  });

  it('is reported as lost when its file is gone, damaged, of other tensors or of another client', async () => {
    const first = await train(at(1, null), 1, 2);
    const path = join(directory, files()[0]!);
    const { lost } = await store.open(at(2, first), variate(0, 0, 0).specs);
    expect(lost).toContain('another run or model');
    writeFileSync(path, 'short');
    expect(await found(at(2, first))).toEqual({ values: null, lost: true });
    rmSync(path);
    expect(await found(at(2, first))).toEqual({ values: null, lost: true });
  });

  it('leaves nothing of other runs, nor of what a crash broke off', async () => {
    await train(at(1, null), 1, 2);
    const [folder] = readdirSync(directory);
    writeFileSync(join(directory, folder!, '.1-x.safetensors.999999-0123456789ab.tmp'), 'half');
    await found(at(2, null));
    expect(readdirSync(join(directory, folder!))).toEqual([]);
    await train(at(1, null, '../../elsewhere'), 3, 4);
    expect(readdirSync(directory)).toHaveLength(1);
    expect(readdirSync(directory)).not.toContain(folder);
    await store.clear();
    expect(existsSync(directory)).toBe(false);
  });
});

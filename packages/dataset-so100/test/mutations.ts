import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Random } from '@zk0/core';

/** Bytes that break parsers: ends of ranges, signs, counts. */
const EVIL = [0x00, 0xff, 0x7f, 0x80, 0x01, 0xfe, 0x22, 0x2d, 0x39, 0x7b, 0x5b];

/** Damages bytes at random: flips, overwrites, cuts, doubles or inserts. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  const result = Buffer.from(bytes);
  if (result.length === 0) return Buffer.of(random.below(256));
  const at = random.below(result.length);
  const length = 1 + random.below(Math.min(64, result.length - at));
  switch (random.below(6)) {
    case 0:
      result[at] = result[at]! ^ (1 << random.below(8));
      return result;
    case 1:
      result.fill(EVIL[random.below(EVIL.length)]!, at, at + Math.min(8, length));
      return result;
    case 2:
      return result.subarray(0, at);
    case 3:
      return Buffer.concat([result.subarray(0, at), result.subarray(at, at + length), result.subarray(at)]);
    case 4:
      return Buffer.concat([result.subarray(0, at), result.subarray(at + length)]);
    default:
      for (let i = 0; i < 8; i++) result[random.below(result.length)] = random.below(256);
      return result;
  }
}

/** Every file of a dataset, relative to its folder. */
export async function filesOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Damages one file of a dataset, lets `visit` look at it, and repairs it. */
export async function withMutation<T>(
  root: string,
  files: readonly string[],
  random: Random,
  visit: (file: string) => Promise<T>,
): Promise<T> {
  const file = files[random.below(files.length)]!;
  const target = path.join(root, file);
  const original = await readFile(target);
  await writeFile(target, mutate(original, random));
  try {
    return await visit(file);
  } finally {
    await writeFile(target, original);
  }
}

import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Random } from '@zk0/core';

/** Bytes that break parsers: ends of ranges, signs, counts. */
const EVIL_BYTES = [0x00, 0xff, 0x7f, 0x80, 0x01, 0xfe, 0x22, 0x2d, 0x39, 0x7b, 0x5b];

/** 32-bit numbers that break sizes and offsets. */
const EVIL_WORDS = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x00010000];

/** Values that break what reads JSON. */
const EVIL_VALUES: readonly unknown[] = [
  ...[-1, 0, 0.5, 1e9, 1e308, -1e308, 2 ** 53, 4294967296],
  ...['', '../../../etc/passwd', '/etc/passwd', '{episode_index}', 'x'.repeat(5000), '\0', '__proto__', 'NaN'],
  ...[null, true, [], {}, [[[[[[]]]]]], { length: 1e9 }],
];

const pick = <T>(list: readonly T[], random: Random): T => list[random.below(list.length)]!;

/** Damages bytes at random: flips, overwrites, cuts, doubles, inserts. */
function mutateBytes(bytes: Buffer, random: Random): Buffer {
  const result = Buffer.from(bytes);
  if (result.length === 0) return Buffer.of(random.below(256));
  const at = random.below(result.length);
  const length = 1 + random.below(Math.min(64, result.length - at));
  switch (random.below(7)) {
    case 0:
      result[at] = result[at]! ^ (1 << random.below(8));
      return result;
    case 1:
      result.fill(pick(EVIL_BYTES, random), at, at + Math.min(8, length));
      return result;
    case 2:
      return result.subarray(0, at);
    case 3:
      return Buffer.concat([result.subarray(0, at), result.subarray(at, at + length), result.subarray(at)]);
    case 4:
      return Buffer.concat([result.subarray(0, at), result.subarray(at + length)]);
    case 5: {
      const aligned = Math.min(at - (at % 4), result.length - 4);
      if (aligned < 0) return Buffer.of(0);
      const word = pick(EVIL_WORDS, random);
      if (random.below(2) === 0) result.writeUInt32BE(word, aligned);
      else result.writeUInt32LE(word, aligned);
      return result;
    }
    default:
      for (let i = 0; i < 8; i++) result[random.below(result.length)] = random.below(256);
      return result;
  }
}

/** Replaces or removes one value somewhere in a JSON text, or one line of JSON lines. */
function mutateJson(text: string, random: Random): string {
  const lines = text.split('\n').filter((line) => line !== '');
  const line = random.below(Math.max(1, lines.length));
  const value: unknown = JSON.parse(lines[line] ?? 'null');
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const visit = (holder: unknown): void => {
    if (typeof holder !== 'object' || holder === null) return;
    for (const key of Object.keys(holder)) {
      places.push({ holder: holder as Record<string, unknown>, key });
      visit((holder as Record<string, unknown>)[key]);
    }
  };
  visit(value);
  if (places.length === 0) return JSON.stringify(pick(EVIL_VALUES, random));
  const { holder, key } = pick(places, random);
  if (random.below(6) === 0) Reflect.deleteProperty(holder, key);
  else holder[key] = pick(EVIL_VALUES, random);
  lines[line] = JSON.stringify(value);
  return lines.join('\n');
}

/** Damages the content of a file once or several times. */
function mutateContent(file: string, bytes: Buffer, random: Random): Buffer {
  if (/\.jsonl?$/.test(file) && random.below(3) > 0) return Buffer.from(mutateJson(bytes.toString(), random));
  let result = bytes;
  for (let times = 1 + random.below(3); times > 0; times--) result = mutateBytes(result, random);
  return result;
}

/** Every file of a dataset, relative to its folder. */
export async function filesOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Puts something else in the place of a file: damaged content mostly, else nothing, a folder, a link, another file. */
async function damage(root: string, file: string, original: Buffer, files: readonly string[], random: Random): Promise<void> {
  const target = path.join(root, file);
  const kind = random.below(20);
  if (kind > 3) {
    await writeFile(target, mutateContent(file, original, random));
    return;
  }
  if (kind === 0) {
    await writeFile(target, await readFile(path.join(root, pick(files, random))));
    return;
  }
  await rm(target);
  if (kind === 1) await mkdir(target);
  if (kind === 2) await symlink(pick(['/etc/passwd', '/dev/zero', '.', file, '../../../..'], random), target);
}

/** Damages one file of a dataset, lets `visit` look at it, and repairs it. */
export async function withMutation<T>(
  root: string,
  files: readonly string[],
  random: Random,
  visit: (file: string) => Promise<T>,
): Promise<T> {
  const file = pick(files, random);
  const target = path.join(root, file);
  const original = await readFile(target);
  await damage(root, file, original, files, random);
  try {
    return await visit(file);
  } finally {
    await rm(target, { recursive: true, force: true });
    await writeFile(target, original);
  }
}

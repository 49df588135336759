import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@zk0/core';
import { afterEach } from 'vitest';

/** Fresh folders for the tests of one file, removed after each test. */
export function scratchDirectories(): () => Promise<string> {
  const made: string[] = [];
  afterEach(async () => {
    for (const path of made.splice(0)) await rm(path, { recursive: true, force: true });
  });
  return async () => {
    const path = await mkdtemp(join(tmpdir(), 'zk0-storage-'));
    made.push(path);
    return path;
  };
}

/** Seeded bytes, so that a failure repeats. */
export function randomBytes(length: number, seed = 1): Uint8Array {
  const random = new Random(seed);
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = random.below(256);
  return bytes;
}

/** An id of a process that has just ended. */
export const DEAD_PID = 2 ** 22 + 1;

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zk0Home } from '@zk0/cli';
import { clientIdSchema, InvalidArgumentError } from '@zk0/core';
import { makeDirectory, writeFileAtomic } from '@zk0/storage';

/**
 * This node's id: the one given, else the one made at the first start and kept since.
 * A stable id keeps a node's seeds, and its place in a run, across restarts.
 *
 * @throws InvalidArgumentError when the given id has characters that paths and URLs cannot hold.
 */
export async function clientIdentity(given: string | undefined, home = zk0Home()): Promise<string> {
  if (given !== undefined) {
    if (!clientIdSchema.safeParse(given).success) {
      throw new InvalidArgumentError(`client id ${JSON.stringify(given)} is not usable`, {
        hint: 'Use 1–64 letters, digits, dots, dashes or underscores, starting with a letter or digit.',
      });
    }
    return given;
  }
  const file = join(home, 'client-id');
  try {
    const kept = readFileSync(file, 'utf8').trim();
    if (clientIdSchema.safeParse(kept).success) return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  // Nothing of the machine's name: ids stand in logs of other people and in published model cards.
  const made = `node-${randomBytes(5).toString('hex')}`;
  makeDirectory(home);
  await writeFileAtomic(file, `${made}\n`);
  return made;
}

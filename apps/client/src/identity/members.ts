import { readFile } from 'node:fs/promises';
import { clientIdSchema, errorMessage, InvalidArgumentError } from '@zk0/core';

/**
 * Reads a file of members: a line for each, its id and the fingerprint of its key, as its owner's node prints them. Empty lines and what follows
 * a `#` are left out.
 *
 * @throws InvalidArgumentError naming the file and the line that cannot be read, or a member that it has twice.
 */
export async function readMembers(path: string): Promise<ReadonlyMap<string, string>> {
  const members = new Map<string, string>();
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new InvalidArgumentError(`--members ${path} cannot be read: ${errorMessage(cause)}`, { cause });
  });
  for (const [index, line] of text.split('\n').entries()) {
    const [id, fingerprint, ...more] = line.replace(/#.*$/, '').trim().split(/\s+/);
    if (id === '') continue;
    const where = `${path}, line ${index + 1}`;
    if (!clientIdSchema.safeParse(id).success || !/^[\w-]{43}$/.test(fingerprint ?? '') || more.length > 0) {
      throw new InvalidArgumentError(`${where}: not a member’s id and the fingerprint of its key`, {
        hint: 'Each line is what a node prints when it starts with --members or --masked-only, for example: anna 47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU',
      });
    }
    if (members.has(id!)) throw new InvalidArgumentError(`${where}: ${id!} is there twice`);
    members.set(id!, fingerprint!);
  }
  if (members.size === 0) throw new InvalidArgumentError(`${path} names no member`, { hint: 'Collect a line of every member, from its owner.' });
  return members;
}

import { realpathSync, statSync } from 'node:fs';
import { dirname, sep } from 'node:path';
import { errorMessage } from '@zk0/core/errors';
import { GraphError } from '../errors.ts';

/**
 * Follows links and checks that a file holds the bytes a tensor claims. onnxruntime refuses external data whose real
 * path leaves the model's directory, and Hugging Face's cache is made of links.
 */
export function resolveExternalFile(tensor: string, path: string, end: number): string {
  let real: string;
  let size: number;
  try {
    real = realpathSync(path);
    size = statSync(real).size;
  } catch (error) {
    throw new GraphError(`initializer ${tensor}: cannot read ${path} (${errorMessage(error)})`, { cause: error });
  }
  if (end > size) throw new GraphError(`initializer ${tensor}: ends at byte ${end} of ${path}, which has ${size}`);
  return real;
}

/** The deepest directory that holds all files; undefined for no files. */
export function commonDirectory(paths: Iterable<string>): string | undefined {
  let common: string[] | undefined;
  for (const path of paths) {
    const parts = dirname(path).split(sep);
    const known: string[] = common ?? parts;
    const differs = known.findIndex((part, index) => part !== parts[index]);
    common = differs >= 0 ? known.slice(0, differs) : known;
  }
  if (common === undefined) return undefined;
  return common.length <= 1 ? `${common[0] ?? ''}${sep}` : common.join(sep);
}

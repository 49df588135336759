import { opendir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Paths of the files below a folder, relative to it, with forward slashes, in no order. A link to a folder is not followed: it may lead out
 * of the dataset, to more files than there is memory for, or in a circle. (`readdir` with `recursive` follows them.)
 */
export async function* walkFiles(root: string): AsyncGenerator<string> {
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for await (const entry of await opendir(join(root, folder))) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else yield path;
    }
  }
}

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlePage } from './bundle-page.ts';

/** Writes the bundled page into a folder, which is made. */
export async function writePage(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const [name, contents] of await bundlePage(from)) await writeFile(join(to, name), contents);
}

/** `node crash-between-renames.ts <folder>`: replaces the folder and is killed after the old one was moved aside. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const rename = fs.promises.rename.bind(fs.promises);
let renames = 0;
fs.promises.rename = async (from, to) => {
  if (++renames === 2) process.kill(process.pid, 'SIGKILL');
  await rename(from, to);
};
syncBuiltinESMExports();

const { writeDirectoryAtomic } = await import('../src/atomic.ts');
await writeDirectoryAtomic(process.argv[2]!, async (directory) => {
  await fs.promises.writeFile(join(directory, 'new'), 'new');
});

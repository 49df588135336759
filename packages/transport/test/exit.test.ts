import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('a process with both sides ends by itself once they are closed', async () => {
  const script = fileURLToPath(new URL('leaves-by-itself.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@zk0/source', script], { timeout: 50_000 });
  expect(stdout).toBe('closed\n');
});

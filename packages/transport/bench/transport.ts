/**
 * What the transport carries on one machine, over loopback: `npx nx bench transport`. With names of parts only those are run:
 * `-- blobs cuts idle idle-10000 finish`; `--megabytes 100` makes the blobs smaller.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchBlobs, benchCuts } from './blobs.ts';
import { benchFinish, benchIdle } from './clients.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { megabytes: { type: 'string', default: '400' } } });
const megabytes = Number(values.megabytes);
const root = await mkdtemp(join(tmpdir(), 'zk0-bench-'));
const parts: Readonly<Record<string, () => Promise<string[]>>> = {
  blobs: () => benchBlobs(root, megabytes),
  cuts: () => benchCuts(root, Math.min(megabytes, 220)),
  idle: async () => [
    ...(await benchIdle(root, 1000, { signed: false, seconds: 90 })),
    ...(await benchIdle(root, 1000, { signed: true, seconds: 90 })),
  ],
  'idle-10000': () => benchIdle(root, 10_000, { signed: false, seconds: 90 }),
  finish: () => benchFinish(root, 200, 10, true),
};
try {
  process.stdout.write(
    `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 1e9)} GB, Node ${process.version}, ` +
      `load ${loadavg()[0]!.toFixed(1)}\n`,
  );
  for (const name of positionals.length > 0 ? positionals : Object.keys(parts)) {
    const rows = await parts[name]?.();
    process.stdout.write(rows === undefined ? `there is no part ${name}\n` : `\n${rows.join('\n')}\n`);
  }
} finally {
  await rm(root, { recursive: true, force: true });
}

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { VideoFile } from './video-file.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'zk0-video-file-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Scheduling policies of this process's threads: field 41 of proc(5)'s stat; 0 is SCHED_OTHER. */
function policies(): ReadonlySet<string> {
  const tasks = '/proc/self/task';
  const stats = readdirSync(tasks).map((task) => readFileSync(path.join(tasks, task, 'stat'), 'utf8'));
  return new Set(stats.map((stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38]!));
}

it.skipIf(!existsSync('/proc/self/task') || !existsSync('/usr/bin/chrt'))('an AV1 encoder leaves no thread with real-time priority, also where it could', async () => {
  const video = await VideoFile.create({ path: path.join(folder, 'a.mp4'), width: 64, height: 64, fps: 10, codec: 'av1' });
  expect([...policies()]).toEqual(['0']);
  await video.write({ width: 64, height: 64, data: new Uint8Array(64 * 64 * 3) });
  video.close();
  expect([...policies()]).toEqual(['0']);
});

import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createVideoDecoder } from '../src/index.ts';
import type { WorkerOptions } from '../src/video/decode-messages.ts';
import { endThread, returnThread, takeThread } from '../src/video/decoder-threads.ts';
import { CODINGS, encodeNumbered, numberOf } from './encode-video.ts';

const OPTIONS: WorkerOptions = { backend: 'node-av', ffmpeg: null, maxReaders: 16 };

let folder = '';
let file = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-threads-'));
  file = path.join(folder, 'numbered.mp4');
  encodeNumbered(file, CODINGS['MPEG-4 part 2'], { frames: 6, fps: 10 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const isOpen = (): boolean =>
  readdirSync('/proc/self/fd').some((fd) => {
    const link = path.join('/proc/self/fd', fd);
    // The descriptor that lists the folder is closed by now.
    return existsSync(link) && readlinkSync(link) === file;
  });

describe('a decoding thread', () => {
  it('that is given back serves whoever wants one like it', async () => {
    const thread = takeThread({ ...OPTIONS, maxReaders: 3 });
    await returnThread(thread, { ...OPTIONS, maxReaders: 3 });
    const other = takeThread({ ...OPTIONS, maxReaders: 2 });
    expect(other).not.toBe(thread);
    expect(takeThread({ ...OPTIONS, maxReaders: 3 })).toBe(thread);
    await Promise.all([endThread(thread), endThread(other)]);
  });

  it('is not kept when it has ended', async () => {
    const thread = takeThread({ ...OPTIONS, maxReaders: 4 });
    await returnThread(thread, { ...OPTIONS, maxReaders: 4 });
    await thread.terminate();
    const next = takeThread({ ...OPTIONS, maxReaders: 4 });
    expect(next).not.toBe(thread);
    await endThread(next);
  });

  it.skipIf(!existsSync('/proc/self/fd'))('has closed its files when its decoder is closed, and the next one decodes', async () => {
    for (let time = 0; time < 3; time++) {
      const decoder = await createVideoDecoder({ threads: 1, backend: 'node-av' });
      const image = await decoder.frame({ file, timestamp: 0.1 * time, tolerance: 0.01 });
      expect(numberOf(image)).toBe(time);
      expect(isOpen()).toBe(true);
      await decoder.close();
      expect(isOpen()).toBe(false);
    }
  });
});

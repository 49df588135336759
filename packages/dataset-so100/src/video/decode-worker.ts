/**
 * Thread that decodes video frames. Started by `decoder-pool.ts`; knows nothing of datasets, so that it runs from
 * source and from the built file alike.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { DecodeReply, DecodeTask, WorkerOptions } from './decode-messages.ts';
import type { FrameReader } from './decoder.ts';

const { backend, ffmpeg, maxReaders } = workerData as WorkerOptions;

/** Loads one back end and no other: each may be missing. */
async function loadBackend(): Promise<(file: string) => FrameReader | Promise<FrameReader>> {
  switch (backend) {
    case 'node-av': {
      const { NodeAvReader } = await import('./node-av-reader.ts');
      return (file) => new NodeAvReader(file);
    }
    case 'ffmpeg': {
      const { FfmpegReader } = await import('./ffmpeg-reader.ts');
      return (file) => FfmpegReader.open(ffmpeg!, file);
    }
    case 'wasm': {
      const { WasmReader } = await import('./wasm-reader.ts');
      return (file) => WasmReader.open(file);
    }
  }
}

const open = await loadBackend();

/** Open files, the least recently used first. */
const readers = new Map<string, FrameReader>();
let last: Promise<void> = Promise.resolve();

async function readerOf(file: string): Promise<FrameReader> {
  const known = readers.get(file);
  readers.delete(file);
  while (readers.size >= maxReaders) {
    const [oldest] = readers.keys();
    drop(oldest!);
  }
  const reader = known ?? (await open(file));
  readers.set(file, reader);
  return reader;
}

function drop(file: string): void {
  readers.get(file)?.close();
  readers.delete(file);
}

async function decode({ file, timestamp, tolerance, into }: DecodeTask): Promise<DecodeReply> {
  try {
    const reader = await readerOf(file);
    return { frame: await reader.frameAt(timestamp, tolerance, into) };
  } catch (error) {
    // A reader that failed is in an unknown state; the next request opens the file anew.
    drop(file);
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', (task: DecodeTask | 'release' | 'close') => {
  if (task === 'release') {
    for (const file of [...readers.keys()]) drop(file);
    parentPort?.postMessage('released');
    return;
  }
  if (task === 'close') {
    for (const file of [...readers.keys()]) drop(file);
    void last.finally(() => {
      for (const file of [...readers.keys()]) drop(file);
      parentPort?.close();
    });
    return;
  }
  last = decode(task).then((reply) => {
    parentPort?.postMessage(reply, 'frame' in reply ? [reply.frame.data.buffer] : []);
  });
});

/**
 * Thread that decodes video frames. Started by `node-av-decoder.ts`; knows nothing of datasets, so that it runs from
 * source and from the built file alike.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { NodeAvReader } from './node-av-reader.ts';
import type { DecodeReply, DecodeTask, WorkerOptions } from './decode-messages.ts';

const { maxReaders } = workerData as WorkerOptions;

/** Open files, the least recently used first. */
const readers = new Map<string, NodeAvReader>();

function readerOf(file: string): NodeAvReader {
  let reader = readers.get(file);
  readers.delete(file);
  reader ??= new NodeAvReader(file);
  readers.set(file, reader);
  for (const [path, oldest] of readers) {
    if (readers.size <= maxReaders) break;
    readers.delete(path);
    oldest.close();
  }
  return reader;
}

function decode({ file, timestamp, tolerance }: DecodeTask): DecodeReply {
  try {
    return { frame: readerOf(file).frameAt(timestamp, tolerance) };
  } catch (error) {
    // A reader that failed is in an unknown state; the next request opens the file anew.
    readers.get(file)?.close();
    readers.delete(file);
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', (task: DecodeTask | 'close') => {
  if (task === 'close') {
    for (const reader of readers.values()) reader.close();
    readers.clear();
    parentPort?.close();
    return;
  }
  const reply = decode(task);
  parentPort?.postMessage(reply, 'frame' in reply ? [reply.frame.data.buffer] : []);
});

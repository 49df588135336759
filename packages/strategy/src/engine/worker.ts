/** A worker thread's entry: runs kernels on the blocks that the pool sends, on memory of its own. */
import { parentPort } from 'node:worker_threads';
import { BlockComputer, UnreadableError, type Block } from './block.ts';
import type { WorkerReply, WorkerRequest } from './pool.ts';

const computer = new BlockComputer();
const buffers = new Map<number, SharedArrayBuffer>();

parentPort?.on('message', (request: WorkerRequest) => {
  switch (request.kind) {
    case 'kernels':
      computer.begin(request.kernels);
      return;
    case 'buffer':
      buffers.set(request.slot, request.buffer);
      return;
    case 'share':
      computer.share(request.id, request.bytes);
      return;
    case 'block':
      parentPort?.postMessage(compute(request.slot, request.block));
  }
});

function compute(slot: number, block: Block): WorkerReply {
  try {
    return { kind: 'done', slot, partial: computer.compute(block, buffers.get(slot)!) };
  } catch (error) {
    return error instanceof UnreadableError ? { kind: 'unreadable', slot } : { kind: 'failed', slot, error };
  }
}

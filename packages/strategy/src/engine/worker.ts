/** A worker thread's entry: runs kernels on the shared buffers that the pool sends. */
import { parentPort } from 'node:worker_threads';
import { Scratch } from '../kernels/block.ts';
import { runKernel } from '../kernels/kernel.ts';
import type { WorkerReply, WorkerRequest } from './pool.ts';

const scratch = new Scratch();

parentPort?.on('message', ({ slot, spec, block, buffer }: WorkerRequest) => {
  let reply: WorkerReply;
  try {
    reply = { slot, partial: runKernel(spec, block, buffer, scratch) };
  } catch (error) {
    reply = { slot, error };
  }
  parentPort?.postMessage(reply);
});

/**
 * The thread that owns one onnxruntime session: onnxruntime blocks its thread for the length of a run, and the main
 * thread must stay free for heartbeats, progress and signals.
 */
import { errorMessage } from '@zk0/core';
import { parentPort, workerData } from 'node:worker_threads';
import { SessionError } from '../errors.ts';
import { OrtSession } from './ort-session.ts';
import type { WorkerReply, WorkerRequest, WorkerStart } from './protocol.ts';
import type { Tensor } from './tensor.ts';

const port = parentPort!;
const start = workerData as WorkerStart;

function reply(message: WorkerReply, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

function fail(error: unknown): void {
  const { code, hint } = error instanceof SessionError ? error : { code: 'RUN_FAILED' as const, hint: undefined };
  reply({ kind: 'error', code, message: errorMessage(error), hint });
}

/** Memory of results that can move to the other thread; shared memory is seen by both anyway. */
function transferable(tensors: Readonly<Record<string, Tensor>>): ArrayBuffer[] {
  const buffers = new Set(Object.values(tensors).map(({ data }) => data.buffer));
  return [...buffers].filter((buffer) => buffer instanceof ArrayBuffer);
}

async function serve(): Promise<void> {
  const session = await OrtSession.create(start.model, start.options);
  port.on('message', (request: WorkerRequest) => {
    if (request.kind === 'close') {
      void session.release().finally(() => {
        port.close();
      });
      return;
    }
    session.run(request.feeds, request.outputs, request.into).then((tensors) => {
      reply({ kind: 'result', tensors }, transferable(tensors));
    }, fail);
  });
  reply({ kind: 'ready', inputs: session.inputs, outputs: session.outputs });
}

serve().catch(fail);

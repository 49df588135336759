/**
 * The thread that owns onnxruntime sessions: onnxruntime blocks its thread for the length of a run, and the main thread
 * must stay free for heartbeats, progress and signals.
 */
import { errorMessage } from '@zk0/core/errors';
import { parentPort } from 'node:worker_threads';
import { SessionError } from '../errors.ts';
import { OrtSession } from './ort-session.ts';
import type { SentRequest, SessionReply, ThreadReply, ThreadRequest } from './protocol.ts';
import { SharedMemoryReceiver } from './shared-memory.ts';
import type { Tensors } from './tensor.ts';

const port = parentPort!;
const sessions = new Map<number, OrtSession>();
const memory = new SharedMemoryReceiver();

async function handle(id: number, request: SentRequest): Promise<SessionReply> {
  if (request.kind === 'open') {
    const session = await OrtSession.create(request.model, request.options);
    sessions.set(id, session);
    return { kind: 'opened', inputs: session.inputs, outputs: session.outputs };
  }
  const session = sessions.get(id)!;
  switch (request.kind) {
    case 'run':
      return { kind: 'done', tensors: await session.run(memory.unpack(request.feeds), request.outputs, memory.unpack(request.into)) };
    case 'setState':
      await session.setState(memory.unpack(request.tensors));
      return { kind: 'done', tensors: {} };
    case 'getState':
      return { kind: 'done', tensors: await session.getState(request.names) };
    case 'close':
      sessions.delete(id);
      await session.release();
      return { kind: 'done', tensors: {} };
  }
}

function failure(error: unknown): SessionReply {
  const { code, hint } = error instanceof SessionError ? error : { code: 'RUN_FAILED' as const, hint: undefined };
  return { kind: 'error', code, message: errorMessage(error), hint };
}

/** Memory of results that can move to the other thread; shared memory is seen by both anyway. */
function transferable(tensors: Tensors): ArrayBuffer[] {
  const buffers = new Set(Object.values(tensors).map(({ data }) => data.buffer));
  return [...buffers].filter((buffer) => buffer instanceof ArrayBuffer);
}

port.on('message', (message: ThreadRequest) => {
  if (message === 'end') {
    port.close();
    return;
  }
  if ('forget' in message) {
    memory.forget(message.forget);
    return;
  }
  const { session } = message;
  void handle(session, message.request)
    .catch(failure)
    .then((reply) => {
      port.postMessage({ session, reply } satisfies ThreadReply, reply.kind === 'done' ? transferable(reply.tensors) : []);
    });
});

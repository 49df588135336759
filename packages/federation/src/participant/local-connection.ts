import { setTimeout as wait } from 'node:timers/promises';
import { CancelledError, Zk0Error, type ClientPrincipal, type FederationService, type JoinMessage } from '@zk0/core';
import { StorageError, type BlobStore, type ByteRange } from '@zk0/storage';
import type { FederationConnection } from './connection.ts';

/** A server within this process: its service and its blobs. */
export interface LocalServer {
  readonly service: FederationService;
  readonly blobs: BlobStore;
}

const GONE = Symbol('the server has gone');
/** How soon a call is tried again when there is no server, in ms. */
const RETRY_MS = 20;

/**
 * A line to a server in the same process, for tests, notebooks and small federations; the same rules as over the network hold.
 *
 * @param server The server as it is at the moment of a call; `null` while there is none (between a crash and a restart): calls wait then.
 */
export function connectLocally(server: () => LocalServer | null, clientId: string, instance = clientId): FederationConnection {
  const principal: ClientPrincipal = { role: 'client', clientId, instance };
  let introduction: JoinMessage | undefined;
  let bytesUp = 0;
  let bytesDown = 0;

  /** Calls until a server has answered that did not go away meanwhile. */
  const ask = async <T>(signal: AbortSignal | undefined, call: (server: LocalServer) => Promise<T>): Promise<T> => {
    for (;;) {
      if (signal?.aborted === true) throw new CancelledError('the call');
      const now = server();
      if (now !== null) {
        try {
          const answer = await whileThere(now, call(now));
          if (answer !== GONE) return answer;
        } catch (error) {
          if (server() === now && !(await isPassing(error, now))) throw error;
        }
      }
      await wait(RETRY_MS);
    }
  };
  /** What a server answers, unless it goes away first: calls to one that has died never end. */
  const whileThere = async <T>(now: LocalServer, answer: Promise<T>): Promise<T | typeof GONE> => {
    let look: NodeJS.Timeout | undefined;
    const gone = new Promise<typeof GONE>((resolve) => {
      look = setInterval(() => { if (server() !== now) resolve(GONE); }, RETRY_MS);
    });
    try {
      return await Promise.race([answer, gone]);
    } finally {
      clearInterval(look);
    }
  };
  const isPassing = async (error: unknown, { service }: LocalServer): Promise<boolean> => {
    if (!(error instanceof Zk0Error)) return false;
    if (error.code === 'NOT_JOINED' && introduction !== undefined) {
      await service.join(principal, introduction);
      return true;
    }
    return error.code === 'BUSY';
  };
  /** Returns how many bytes went over. */
  const copy = async (from: BlobStore, to: BlobStore, hash: string, byteLength: number): Promise<number> => {
    const blob = { hash, byteLength };
    // An upload of its own for each client: two may send the same bytes at the same time.
    const owner = { owner: clientId };
    const offset = await to.beginUpload(blob, owner);
    if (offset < byteLength) {
      await to.append(blob, offset, bytesOf(from, hash, { start: offset, end: byteLength }), owner).catch((error: unknown) => {
        // The other one was faster: the blob is there.
        if (!(error instanceof StorageError) || error.code !== 'UPLOAD_OFFSET') throw error;
      });
    }
    await to.finish(blob, owner);
    return byteLength - offset;
  };

  return {
    join: async (message, signal) => {
      introduction = message;
      const reply = await ask(signal, ({ service }) => service.join(principal, message));
      if (!reply.accepted) throw new Zk0Error(reply.code, reply.message, reply.hint === undefined ? {} : { hint: reply.hint });
    },
    poll: async (signal) => {
      for (;;) {
        if (signal?.aborted === true) return null;
        // Short polls: a server that goes away is noticed by the next one.
        const task = await ask(signal, ({ service }) => service.poll(principal, pollSignal(signal)));
        if (task !== null) return task;
      }
    },
    heartbeat: (message) => ask(undefined, ({ service }) => service.heartbeat(principal, message)),
    report: async (message) => {
      await server()?.service.report(principal, message);
    },
    result: (result, signal) => ask(signal, ({ service }) => service.result(principal, result)),
    leave: async () => {
      await server()?.service.leave(principal);
    },
    download: async (hash, byteLength, blobs, hooks) => {
      await ask(hooks?.signal, async ({ service, blobs: from }) => {
        await service.authorizeDownload(principal, hash);
        bytesDown += await copy(from, blobs, hash, byteLength);
      });
    },
    upload: async (hash, blobs, hooks) => {
      const byteLength = (await blobs.size(hash)) ?? 0;
      await ask(hooks?.signal, async ({ service, blobs: to }) => {
        await service.authorizeUpload(principal, { hash, byteLength });
        bytesUp += await copy(blobs, to, hash, byteLength);
      });
    },
    takeByteCounts: () => {
      const counts = { bytesUp, bytesDown };
      bytesUp = 0;
      bytesDown = 0;
      return counts;
    },
  };
}

/** Opens the blob when its first byte is asked for, so that no file is left open where none is. */
async function* bytesOf(from: BlobStore, hash: string, range: ByteRange): AsyncGenerator<Uint8Array> {
  yield* await from.openRead(hash, range);
}

function pollSignal(signal: AbortSignal | undefined): AbortSignal {
  const soon = AbortSignal.timeout(200);
  return signal === undefined ? soon : AbortSignal.any([signal, soon]);
}

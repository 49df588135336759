import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Random } from '@zk0/core';

/** What can happen to a connection. */
export type Fault = 'cut' | 'truncate' | 'delay' | 'corrupt';

/** How bad the line is. */
export interface ChaosOptions {
  /** Decides every fault: the n-th connection of the same seed has the same faults at the same byte positions. */
  readonly seed: string | number;
  /** Relative weights of the faults; one that is absent never happens. Default: all four alike. */
  readonly weights?: Readonly<Partial<Record<Fault, number>>>;
  /** Share of connections that have faults at all (0.5). */
  readonly share?: number;
  /** Largest distance in bytes from the start of a connection, or from its last fault, to its next fault (1 MiB). */
  readonly maxBytes?: number;
  /** Longest delay, in ms (500). */
  readonly maxDelayMs?: number;
}

/** A running proxy. */
export interface ChaosProxy {
  readonly url: string;
  readonly port: number;
  /** Where new connections go; a server that restarts on another port is set here. */
  target: string;
  /** `true` lets everything pass, also on connections that are open. */
  calm: boolean;
  readonly connections: number;
  /** Bytes that passed, from clients and to clients. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Faults so far. */
  readonly faults: Readonly<Record<Fault, number>>;
  /** Cuts every open connection now. */
  cutAll(): void;
  close(): Promise<void>;
}

/** A fault that will happen after so many more bytes in one direction. */
interface Plan {
  readonly fault: Fault;
  left: number;
}

/**
 * A TCP proxy in front of a server, which breaks connections as a bad network does: it cuts them (both sides see a reset), truncates
 * them (one side sees a regular end in the middle of a message), holds bytes back, and flips single bits. All of it is drawn from a
 * seed. It knows nothing of HTTP or TLS.
 *
 * @param target - URL of the server, `http://host:port` or `https://host:port`
 */
export async function chaosProxy(target: string, options: ChaosOptions): Promise<ChaosProxy> {
  const { seed, weights = { cut: 1, truncate: 1, delay: 1, corrupt: 1 }, share = 0.5, maxBytes = 1 << 20, maxDelayMs = 500 } = options;
  const sockets = new Set<Socket>();
  const state = { target, calm: false, connections: 0, bytesUp: 0, bytesDown: 0 };
  const faults: Record<Fault, number> = { cut: 0, truncate: 0, delay: 0, corrupt: 0 };
  const scheme = new URL(target).protocol;

  const server = createServer({ allowHalfOpen: true }, (client) => {
    const number = state.connections++;
    const { hostname, port } = new URL(state.target);
    const origin = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    const bad = new Random(`chaos:${seed}:${number}`).uniform() < share;
    for (const socket of [client, origin]) {
      sockets.add(socket);
      // A reset on one side is a reset on the other.
      socket.on('error', () => { cut(client, origin); });
      socket.on('close', () => {
        sockets.delete(socket);
        if (client.destroyed && origin.destroyed) return;
        if (!socket.readableEnded) cut(client, origin);
      });
    }
    const lane = (direction: 'up' | 'down', from: Socket, to: Socket): Promise<void> => {
      const random = new Random(`chaos:${seed}:${number}:${direction}`);
      const plans = bad ? () => draw(random, weights, maxBytes) : () => undefined;
      const count = (bytes: number): void => {
        if (direction === 'up') state.bytesUp += bytes;
        else state.bytesDown += bytes;
      };
      return pump(from, to, random, plans, count);
    };
    // A lane that fails has been cut: nothing is left to do.
    lane('up', client, origin).catch(() => undefined);
    lane('down', origin, client).catch(() => undefined);
  });

  /** Moves bytes one way, and does to them what is planned. */
  async function pump(from: Socket, to: Socket, random: Random, next: () => Plan | undefined, count: (bytes: number) => void): Promise<void> {
    let plan = next();
    for await (const received of from as AsyncIterable<Buffer>) {
      let chunk = received;
      while (plan !== undefined && !state.calm && chunk.byteLength > plan.left) {
        const head = chunk.subarray(0, plan.left);
        const { fault }: Plan = plan;
        if (fault === 'delay') {
          await write(to, head, count);
          chunk = chunk.subarray(head.byteLength);
          faults.delay++;
          await new Promise((resolve) => setTimeout(resolve, random.uniform() * maxDelayMs));
        } else if (fault === 'corrupt') {
          chunk = Buffer.from(chunk);
          chunk[plan.left]! ^= 1 << random.below(8);
          await write(to, chunk.subarray(0, plan.left + 1), count);
          chunk = chunk.subarray(plan.left + 1);
          faults.corrupt++;
        } else {
          await write(to, head, count);
          faults[fault]++;
          if (fault === 'cut') cut(from, to);
          else end(from, to);
          return;
        }
        plan = next();
      }
      if (plan !== undefined) plan.left -= chunk.byteLength;
      await write(to, chunk, count);
    }
    to.end();
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${scheme}//127.0.0.1:${port}`,
    port,
    get target() { return state.target; },
    set target(value) { state.target = value; },
    get calm() { return state.calm; },
    set calm(value) { state.calm = value; },
    get connections() { return state.connections; },
    get bytesUp() { return state.bytesUp; },
    get bytesDown() { return state.bytesDown; },
    faults,
    cutAll: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Distances are log-uniform: as many faults in the first kilobyte, where headers are, as between 100 kB and 1 MB. */
function draw(random: Random, weights: Readonly<Partial<Record<Fault, number>>>, maxBytes: number): Plan | undefined {
  const entries = Object.entries(weights) as [Fault, number][];
  let point = random.uniform() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  const left = Math.floor(maxBytes ** random.uniform());
  for (const [fault, weight] of entries) {
    point -= weight;
    if (point < 0) return { fault, left };
  }
  return undefined;
}

async function write(to: Socket, bytes: Buffer, count: (bytes: number) => void): Promise<void> {
  if (bytes.byteLength === 0) return;
  count(bytes.byteLength);
  if (to.destroyed) throw new Error('the other side is gone');
  if (to.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      to.off('drain', done).off('close', done);
      resolve();
    };
    to.once('drain', done).once('close', done);
  });
}

/** Both sides see a reset. */
function cut(...both: readonly Socket[]): void {
  for (const socket of both) socket.resetAndDestroy();
}

/** The receiver sees a regular end, and the sender that nobody listens any more. */
function end(from: Socket, to: Socket): void {
  to.end();
  from.destroy();
}

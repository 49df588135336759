import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A bad line to a server: it counts what passes and breaks connections where it is told to. */
export interface ChoppingProxy {
  readonly url: string;
  /** Connections so far, and bytes in both directions over all of them. */
  readonly connections: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** While `true`, bytes are accepted and never passed on. */
  stall: boolean;
  close(): Promise<void>;
}

/** Where one connection is cut: after so many bytes up or down. */
export interface Cut {
  readonly up?: number;
  readonly down?: number;
}

/** Listens before `target`; the n-th connection is cut at `cuts[n]`, later ones live. */
export async function choppingProxy(target: string, cuts: readonly Cut[] = []): Promise<ChoppingProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const state = { connections: 0, bytesUp: 0, bytesDown: 0, stall: false };
  const server = createServer((inner) => {
    const cut = cuts[state.connections++] ?? {};
    const outer = connect(Number(port), hostname);
    const both = [inner, outer];
    const end = (): void => {
      for (const socket of both) socket.destroy();
    };
    const pass = (from: Socket, to: Socket, limit: number, count: (bytes: number) => void): void => {
      let passed = 0;
      from.on('data', (chunk: Buffer) => {
        if (state.stall) return;
        const part = chunk.subarray(0, Math.max(0, limit - passed));
        passed += part.byteLength;
        count(part.byteLength);
        const reached = passed >= limit;
        if (!to.write(part, () => { if (reached) end(); })) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    };
    pass(inner, outer, cut.up ?? Infinity, (bytes) => { state.bytesUp += bytes; });
    pass(outer, inner, cut.down ?? Infinity, (bytes) => { state.bytesDown += bytes; });
    for (const socket of both) {
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        end();
      });
      socket.on('error', end);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() { return state.connections; },
    get bytesUp() { return state.bytesUp; },
    get bytesDown() { return state.bytesDown; },
    get stall() { return state.stall; },
    set stall(value) { state.stall = value; },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

import { connect, createServer, type Server, type Socket } from 'node:net';

/** What stands before several servers: it keeps a client at one of them while that one answers, and goes to the next when it does not. */
export class StickyForwarder {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  /** @param first which of the ports is tried first. */
  static async start(ports: readonly number[], first: number): Promise<StickyForwarder> {
    let current = first % ports.length;
    const sockets = new Set<Socket>();
    const forward = (inner: Socket, attempts: number): void => {
      const tried = current;
      const outer = connect(ports[tried]!, '127.0.0.1');
      sockets.add(outer);
      let isConnected = false;
      outer.once('connect', () => {
        isConnected = true;
        inner.pipe(outer).pipe(inner);
      });
      outer.once('error', () => {
        if (current === tried) current = (current + 1) % ports.length;
        if (isConnected || attempts === 0) inner.destroy();
        else forward(inner, attempts - 1);
      });
      outer.once('close', () => {
        sockets.delete(outer);
        if (isConnected) inner.destroy();
      });
      inner.once('close', () => { outer.destroy(); });
    };
    const server = createServer((inner) => {
      sockets.add(inner);
      inner.on('error', () => undefined);
      inner.once('close', () => sockets.delete(inner));
      forward(inner, ports.length);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new StickyForwarder(server, sockets);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

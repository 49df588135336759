import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { connect } from '@nats-io/transport-node';

/** The `nats-server` that tests start: `ZK0_NATS_SERVER`, or the first on PATH; `undefined` where there is none. */
export const natsServerBinary = findBinary();

/** Why tests that need one are skipped. */
export const NO_NATS_SERVER = 'no nats-server: put it on PATH or set ZK0_NATS_SERVER';

/** A server that tests stop, kill and start again over the same data. */
export class TestNatsServer {
  readonly url: string;
  readonly #port: number;
  readonly #directory: string;
  readonly #settings: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, settings: string, hasJetStream = true) {
    this.#port = port;
    this.url = `nats://127.0.0.1:${port}`;
    this.#directory = mkdtempSync(join(tmpdir(), 'zk0-nats-'));
    const store = JSON.stringify(join(this.#directory, 'data'));
    this.#settings = hasJetStream ? `jetstream { store_dir: ${store} }\n${settings}` : settings;
  }

  /** Starts a cluster of three. */
  static async startCluster(): Promise<TestNatsServer[]> {
    const [ports, routes] = [await Promise.all([1, 2, 3].map(freePort)), await Promise.all([1, 2, 3].map(freePort))];
    const urls = routes.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
    const servers = ports.map((port, n) => new TestNatsServer(port, `server_name: n${n}\ncluster { name: test, listen: "127.0.0.1:${routes[n]!}", routes: [${urls}] }`));
    await Promise.all(servers.map((server) => server.start()));
    return servers;
  }

  /** Starts one on a free port. @param settings lines of its configuration */
  static async start(settings = '', hasJetStream = true): Promise<TestNatsServer> {
    const server = new TestNatsServer(await freePort(), settings, hasJetStream);
    await server.start();
    return server;
  }

  /** The address of a federation of its own. */
  address(federation: string): string {
    return `${this.url}/${federation}`;
  }

  async start(): Promise<void> {
    const config = join(this.#directory, 'nats.conf');
    writeFileSync(config, `listen: "127.0.0.1:${this.#port}"\n${this.#settings}\n`);
    const child = spawn(natsServerBinary!, ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (said.includes('Server is ready')) resolve();
      });
      child.once('error', reject);
      child.once('exit', (code) => { reject(new Error(`nats-server ended (${code ?? 'signal'}):\n${said}`)); });
    });
  }

  /** Ends it as a power cut would, as far as its process goes. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** It keeps its connections, and answers nothing. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    this.thaw();
    await this.#end('SIGTERM');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A connection of the test's own. */
  connect(): ReturnType<typeof connect> {
    return connect({ servers: `127.0.0.1:${this.#port}` });
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function findBinary(): string | undefined {
  const named = process.env['ZK0_NATS_SERVER'];
  const names = process.platform === 'win32' ? ['nats-server.exe'] : ['nats-server'];
  const candidates = named === undefined ? (process.env['PATH'] ?? '').split(delimiter).flatMap((folder) => names.map((name) => join(folder, name))) : [named];
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

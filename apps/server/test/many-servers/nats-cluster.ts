import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort, natsServer } from '../backends.ts';

/** Three NATS servers that hold every stream together. */
export class NatsCluster {
  readonly #directory = mkdtempSync(join(tmpdir(), 'zk0-cluster-'));
  readonly #children: (ChildProcess | undefined)[] = [];
  readonly #ports: readonly { readonly client: number; readonly route: number; readonly monitor: number }[];

  private constructor(ports: readonly { readonly client: number; readonly route: number; readonly monitor: number }[]) {
    this.#ports = ports;
  }

  static async start(): Promise<NatsCluster> {
    const ports = [];
    for (let node = 0; node < 3; node++) ports.push({ client: await freePort(), route: await freePort(), monitor: await freePort() });
    const cluster = new NatsCluster(ports);
    for (const node of ports.keys()) cluster.#start(node);
    for (const node of ports.keys()) await cluster.#isHealthy(node);
    return cluster;
  }

  /** The address of a federation, with three copies of everything. */
  address(federation: string): string {
    return `nats://${this.#ports.map(({ client }) => `127.0.0.1:${client}`).join(',')}/${federation}?replicas=3`;
  }

  /** Kills a node, starts it again, and waits until it has caught up: a majority is always there. */
  async bounce(node: number): Promise<void> {
    await end(this.#children[node]);
    this.#start(node);
    await this.#isHealthy(node);
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map(end));
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #start(node: number): void {
    const { client, route, monitor } = this.#ports[node]!;
    const routes = this.#ports.map((ports) => `"nats://127.0.0.1:${ports.route}"`).join(', ');
    const config = join(this.#directory, `${node}.conf`);
    writeFileSync(config, [
      `server_name: n${node}`,
      `listen: "127.0.0.1:${client}"`,
      `http: "127.0.0.1:${monitor}"`,
      `jetstream { store_dir: ${JSON.stringify(join(this.#directory, String(node)))} }`,
      `cluster { name: test, listen: "127.0.0.1:${route}", routes: [${routes}] }`,
    ].join('\n'));
    this.#children[node] = spawn(natsServer!, ['-c', config], { stdio: 'ignore' });
  }

  async #isHealthy(node: number): Promise<void> {
    const url = `http://127.0.0.1:${this.#ports[node]!.monitor}/healthz`;
    while (!(await fetch(url).then(({ ok }) => ok, () => false))) await wait(100);
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exit;
}

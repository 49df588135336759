import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** `nats-server`: `ZK0_NATS_SERVER`, or the first on PATH. */
export const natsServer = process.env['ZK0_NATS_SERVER'] ?? (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'nats-server')).find(isExecutable);
/** moto's server (PyPI `moto[s3,server]`): `ZK0_MOTO_SERVER`. */
const motoServer = process.env['ZK0_MOTO_SERVER'];

/** Why tests with a NATS and an S3 server are skipped; `undefined` where both are there. */
export const lacksBackends =
  natsServer === undefined ? 'no nats-server: put it on PATH or set ZK0_NATS_SERVER' : motoServer === undefined ? 'no S3 server: set ZK0_MOTO_SERVER to moto_server' : undefined;

/** A NATS server and an S3 server with a bucket. */
export interface Backends {
  readonly nats: string;
  readonly blobs: string;
  close(): Promise<void>;
}

export async function startBackends(): Promise<Backends> {
  const directory = mkdtempSync(join(tmpdir(), 'zk0-backends-'));
  const [natsPort, s3Port] = [await freePort(), await freePort()];
  const children = [
    spawn(natsServer!, ['-a', '127.0.0.1', '-p', String(natsPort), '-js', '-sd', directory], { stdio: 'ignore' }),
    spawn(motoServer!, ['-H', '127.0.0.1', '-p', String(s3Port)], { stdio: 'ignore' }),
  ];
  const endpoint = `http://127.0.0.1:${s3Port}`;
  while (!(await fetch(`${endpoint}/zk0-models`, { method: 'PUT' }).then(({ ok }) => ok, () => false))) await wait(50);
  return {
    nats: `nats://127.0.0.1:${natsPort}/test`,
    blobs: `s3://zk0-models/test?endpoint=${encodeURIComponent(endpoint)}`,
    close: async () => {
      await Promise.all(children.map(ended));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await exit;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

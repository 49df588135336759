import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from './nats-server.ts';

/** moto's server (PyPI `moto[s3,server]`), which tests start: `ZK0_MOTO_SERVER` names it; `undefined` where it is not set. */
export const motoServerBinary = process.env['ZK0_MOTO_SERVER'];

/** Why tests that need one are skipped. */
export const NO_S3_SERVER = 'no S3 server: set ZK0_MOTO_SERVER to moto_server';

/** Credentials that moto takes: any. */
export const TEST_CREDENTIALS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'us-east-1' } as const;

/** An S3-compatible server in memory. */
export class TestS3Server {
  readonly endpoint: string;
  readonly client: S3Client;
  readonly #child: ChildProcess;
  #buckets = 0;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.endpoint = `http://127.0.0.1:${port}`;
    this.client = new S3Client({ endpoint: this.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } });
  }

  static async start(): Promise<TestS3Server> {
    const port = await freePort();
    const child = spawn(motoServerBinary!, ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
    const server = new TestS3Server(child, port);
    const answers = (): Promise<boolean> => fetch(server.endpoint).then(() => true, () => false);
    while (!(await answers())) {
      if (child.exitCode !== null) throw new Error(`moto_server ended (${child.exitCode})`);
      await wait(50);
    }
    return server;
  }

  /** The address of a bucket of its own. */
  async address(): Promise<string> {
    const bucket = `bucket-${this.#buckets++}`;
    await this.client.send(new CreateBucketCommand({ Bucket: bucket }));
    return `s3://${bucket}/blobs?endpoint=${encodeURIComponent(this.endpoint)}`;
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async close(): Promise<void> {
    this.client.destroy();
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

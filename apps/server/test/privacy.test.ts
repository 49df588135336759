import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { openDataset } from '@zk0/dataset-so100';
import { makeDemoDataset } from '@zk0/demo-so100';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { killStartedPrograms, runProgram, startProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
const set = join(home.path, 'set');
beforeAll(() => makeDemoDataset(set, { task: 'cube-to-bowl', episodes: 1, seed: 3 }));
afterEach(killStartedPrograms);
afterAll(home.remove);

/** A line to a server that keeps everything that clients send over it. */
async function recordingProxy(target: URL): Promise<{ readonly url: string; readonly sent: Buffer[]; close(): void }> {
  const sent: Buffer[] = [];
  const server = createServer((client) => {
    const origin = connect(Number(target.port), target.hostname);
    client.on('data', (bytes) => sent.push(bytes));
    client.pipe(origin).pipe(client);
    for (const [one, other] of [[client, origin], [origin, client]] as const) one.on('error', () => { other.destroy(); });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent, close: () => server.close() };
}

it.each([
  ['fedavg', []],
  ['scaffold', []],
  ['dp-fixed', ['--private']],
])('no frame, state, action or task text leaves a client: %s', { timeout: 300_000 }, async (strategy, flags) => {
  const dataset = await openDataset(set);
  const { info } = dataset;
  const secrets = new Map<string, Buffer>([['the task text', Buffer.from(dataset.task(0))]]);
  const bytesOf = (values: Float32Array): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  for (let frame = 0; frame < info.frameCount; frame++) {
    secrets.set(`the state of frame ${frame}`, bytesOf(dataset.state(frame)));
    secrets.set(`the action of frame ${frame}`, bytesOf(dataset.actionChunk(frame, 1).actions));
  }
  for (const frame of [0, info.frameCount - 1]) {
    for (const image of await dataset.images(frame, info.cameras.map(({ key }) => key))) {
      // Rows with a picture in them: one of a single colour could be anything.
      const stride = image.width * 3;
      for (let row = 0; row < image.height; row++) {
        const pixels = Buffer.from(image.data.subarray(row * stride, (row + 1) * stride));
        if (new Set(pixels).size > 20) secrets.set(`a row of frame ${frame}`, pixels);
      }
    }
  }
  await dataset.close();

  const out = join(home.path, `out-${strategy}`);
  const server = startProgram('server', ['start', '--port', '0', '--out', out, '--device', 'cpu'], home.path);
  const proxy = await recordingProxy(new URL((await server.until(/zk0-server is at (http\S+)/))[1]!));
  const url = (await server.until(/zk0-server is at (http\S+)/))[1]!;
  startProgram('client', ['start', '--server', proxy.url, '--dataset', set, '--id', 'anna', '--device', 'cpu', '--threads', '1', ...flags], home.path);
  const options = strategy === 'dp-fixed' ? ['--set', 'strategy.noiseMultiplier=1', '--set', 'strategy.clippingNorm=1'] : [];
  const run = ['run', '--server', url, '--rounds', '2', '--policy', 'tiny', '--strategy', strategy, '--min-clients', '1', '--local-steps', '2', '--batch-size', '2'];
  const submitted = await runProgram('server', [...run, ...options], home.path);
  expect(submitted.code, submitted.stderr).toBe(0);
  await server.until(/run \S+: finished/);
  const sent = Buffer.concat(proxy.sent);
  proxy.close();
  // What is sent is looked at as it is: weights, messages, headers.
  expect(sent.byteLength).toBeGreaterThan(10_000);
  expect(sent.includes('anna')).toBe(true);
  for (const [name, bytes] of secrets) expect(sent.includes(bytes), name).toBe(false);
  const statistics = JSON.stringify(info.moments.state.mean[0]);
  // A private client says nothing that was computed from its values; others say means, which a normaliser is made from.
  const mean = Buffer.alloc(8);
  mean.writeDoubleBE(Number(statistics));
  expect(sent.includes(mean)).toBe(strategy !== 'dp-fixed');
});

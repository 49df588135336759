import { createHash, randomBytes } from 'node:crypto';
import { createServer, request, type Server } from 'node:http';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { blobStoreContract, type BlobStoreHarness } from '@zk0/storage/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openS3BlobStore, parseS3Address, type S3BlobStore } from '../src/index.ts';
import { motoServerBinary, NO_S3_SERVER, TEST_CREDENTIALS, TestS3Server } from './s3-server.ts';

describe.skipIf(motoServerBinary === undefined)(`blobs in a bucket${motoServerBinary === undefined ? ` (${NO_S3_SERVER})` : ''}`, () => {
  let server: TestS3Server;
  const environment = { ...process.env };
  const opened: S3BlobStore[] = [];
  const folders: string[] = [];
  beforeAll(async () => {
    Object.assign(process.env, TEST_CREDENTIALS);
    server = await TestS3Server.start();
  });
  afterAll(async () => {
    for (const store of opened) store.close();
    await server.close();
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
    process.env = environment;
  });

  const folder = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'zk0-s3-'));
    folders.push(path);
    return path;
  };
  const open = async (address: string, cacheDirectory: string, limits = {}): Promise<S3BlobStore> => {
    const store = await openS3BlobStore(parseS3Address(address), { cacheDirectory, ...limits });
    opened.push(store);
    return store;
  };
  const key = (hash: string): string => `blobs/sha256/${hash}`;
  const damage = async (address: string, hash: string): Promise<void> => {
    const Bucket = parseS3Address(address).bucket;
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket, Key: key(hash) }));
    const bytes = await Body!.transformToByteArray();
    bytes[0]! ^= 1;
    await server.client.send(new PutObjectCommand({ Bucket, Key: key(hash), Body: bytes }));
  };
  const objects = async (address: string): Promise<string[]> => {
    const { Contents } = await server.client.send(new ListObjectsV2Command({ Bucket: parseS3Address(address).bucket }));
    return (Contents ?? []).map(({ Key }) => Key!);
  };

  blobStoreContract('S3', async (): Promise<BlobStoreHarness> => {
    const [address, cache] = [await server.address(), await folder()];
    return {
      open: (limits) => open(address, cache, limits),
      damage: async (hash) => {
        await damage(address, hash);
        await rm(join(cache, 'sha256', hash), { force: true });
      },
      remove: () => rm(cache, { recursive: true, force: true }),
    };
  }, { describe, it });

  it('are shared by servers with a cache each: large ones go in parts, and come back by ranges and as files', async () => {
    const address = await server.address();
    const [first, second, third] = [await open(address, await folder()), await open(address, await folder()), await open(address, await folder())];
    const bytes = new Uint8Array(randomBytes(40 * 2 ** 20 + 7));
    const blob = await first.put(bytes);
    expect(await second.size(blob.hash)).toBe(bytes.byteLength);
    const chunks: Uint8Array[] = [];
    for await (const chunk of await second.openRead(blob.hash, { start: 17_000_000, end: 17_000_100 })) chunks.push(chunk.slice());
    expect(Buffer.concat(chunks)).toEqual(Buffer.from(bytes.subarray(17_000_000, 17_000_100)));
    const files = await Promise.all([second.verifiedFile(blob), second.verifiedFile(blob)]);
    expect(files[0]).toBe(files[1]);
    expect(createHash('sha256').update(await readFile(files[0])).digest('hex')).toBe(blob.hash);
    expect(await third.localFile(blob)).toBe(third.path(blob.hash));
    // A client's upload is needless where another server has the blob.
    expect(await third.beginUpload(blob, { owner: 'a' })).toBe(bytes.byteLength);
    expect(await objects(address)).toEqual([key(blob.hash)]);
  });

  it('of which the copy in the cache is damaged come from the bucket, and one that is damaged there is set aside', async () => {
    const [address, cache] = [await server.address(), await folder()];
    const store = await open(address, cache);
    const blob = await store.put(randomBytes(1000));
    await writeFile(store.path(blob.hash), randomBytes(1000));
    const path = await store.verifiedFile(blob);
    expect(createHash('sha256').update(await readFile(path)).digest('hex')).toBe(blob.hash);
    await damage(address, blob.hash);
    const other = await open(address, await folder());
    await expect(other.verifiedFile(blob)).rejects.toMatchObject({ code: 'BLOB_DAMAGED', message: expect.stringContaining(blob.hash) as string });
    expect(await objects(address)).toEqual([`blobs/damaged/${blob.hash}`]);
  });

  it('that nobody needs go once they were seen for long enough, whoever put them there; one that was put again stays', async () => {
    const address = await server.address();
    const [first, second] = [await open(address, await folder()), await open(address, await folder())];
    const [kept, unneeded, again] = [await first.put(randomBytes(10)), await first.put(randomBytes(11)), await first.put(randomBytes(12))];
    const minimumAgeMs = 50;
    expect(await second.collect(new Set([kept.hash]), { minimumAgeMs })).toEqual({ removed: 0, bytes: 0 });
    // The server's times are whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await first.putFile(first.path(again.hash));
    expect(await second.collect(new Set([kept.hash]), { minimumAgeMs })).toEqual({ removed: 1, bytes: 11 });
    expect(await first.has(unneeded.hash)).toBe(false);
    expect((await objects(address)).sort()).toEqual([key(kept.hash), key(again.hash)].sort());
  });

  it('whose transfer is cut go on from there', async () => {
    const address = await server.address();
    const blob = await (await open(address, await folder())).put(randomBytes(3_000_000));
    const cutting = await cuttingProxy(server.endpoint, 1_000_000);
    try {
      const store = await open(`s3://${parseS3Address(address).bucket}/blobs?endpoint=${encodeURIComponent(cutting.endpoint)}`, await folder());
      const path = await store.verifiedFile(blob);
      expect(createHash('sha256').update(await readFile(path)).digest('hex')).toBe(blob.hash);
      expect(cutting.cuts()).toBeGreaterThanOrEqual(2);
    } finally {
      cutting.server.closeAllConnections();
      cutting.server.close();
    }
  });

  it('say in one line that the bucket is not there, that nobody answers, and that credentials are missing or refused', async () => {
    const refusal = async (address: string): Promise<unknown> => open(address, await folder()).then(() => new Error('it was opened'), (error: unknown) => error);
    expect(await refusal(`s3://nothing-here?endpoint=${server.endpoint}`)).toMatchObject({ code: 'BACKEND_UNSUITABLE', message: expect.stringContaining('there is no bucket nothing-here') as string });
    const away = await refusal('s3://bucket-0?endpoint=http://127.0.0.1:1');
    expect(away).toMatchObject({ code: 'STORE_UNREACHABLE', message: expect.stringMatching(/^s3:\/\/bucket-0\?endpoint=http:\/\/127\.0\.0\.1:1: [^\n]+$/) as string });
    const refusing = createServer((_request, response) => { response.writeHead(403).end(); });
    await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
    const { port } = refusing.address() as { port: number };
    expect(await refusal(`s3://bucket-0?endpoint=http://127.0.0.1:${port}`)).toMatchObject({ code: 'BACKEND_REFUSED' });
    refusing.close();
  });

  it('that cannot get into the bucket now are no blobs, and get there with the next try', async () => {
    const address = await server.address();
    const cutting = await cuttingProxy(server.endpoint, Infinity);
    const store = await open(`s3://${parseS3Address(address).bucket}/blobs?endpoint=${encodeURIComponent(cutting.endpoint)}`, await folder());
    const bytes = randomBytes(1000);
    const blob = { hash: createHash('sha256').update(bytes).digest('hex'), byteLength: 1000 };
    await store.beginUpload(blob, { owner: 'a' });
    await store.append(blob, 0, (async function* () { yield await Promise.resolve(bytes); })(), { owner: 'a' });
    cutting.refuse(true);
    await expect(store.finish(blob, { owner: 'a' })).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    cutting.refuse(false);
    expect(await store.has(blob.hash)).toBe(false);
    await store.finish(blob, { owner: 'a' });
    expect(await store.has(blob.hash)).toBe(true);
    cutting.server.closeAllConnections();
    cutting.server.close();
  });
});

describe('the address of a bucket', () => {
  it('has a bucket, a prefix and where the server is', () => {
    expect(parseS3Address('s3://models')).toMatchObject({ bucket: 'models', prefix: '', endpoint: undefined, pathStyle: false });
    expect(parseS3Address('s3://models/a/b/?endpoint=http://minio:9000&region=eu-1')).toMatchObject({ prefix: 'a/b/', endpoint: 'http://minio:9000', region: 'eu-1', pathStyle: true });
    expect(parseS3Address('s3://models?endpoint=https://x&path-style=false').pathStyle).toBe(false);
  });

  it('is refused in one line where it is wrong, and never with the credentials in it', () => {
    for (const text of ['', 'http://a', 's3://', 's3://A_B', 's3://models/../x y', 's3://models?endpoint=ftp://x', 's3://models?region=EU', 's3://models?path-style=1', 's3://models?bucket=x']) {
      expect(() => parseS3Address(text), text).toThrow(expect.objectContaining({ code: 'BACKEND_ADDRESS' }) as Error);
    }
    expect(() => parseS3Address('s3://key:topsecret@models')).toThrow(expect.objectContaining({ message: expect.not.stringContaining('topsecret') as string }) as Error);
  });
});

/** Passes requests on, and cuts every answer after so many bytes. */
async function cuttingProxy(target: string, bytes: number): Promise<{ readonly endpoint: string; readonly server: Server; readonly cuts: () => number; readonly refuse: (yes: boolean) => void }> {
  let [cuts, isRefusing] = [0, false];
  const server = createServer((incoming, outgoing) => {
    if (isRefusing) {
      outgoing.writeHead(503).end();
      return;
    }
    const passed = request(`${target}${incoming.url!}`, { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers);
      let left = bytes;
      answer.on('data', (chunk: Buffer) => {
        left -= chunk.byteLength;
        if (left >= 0) outgoing.write(chunk);
        else if (!outgoing.destroyed) {
          cuts++;
          outgoing.destroy();
        }
      });
      answer.on('end', () => outgoing.end());
    });
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { endpoint: `http://127.0.0.1:${port}`, server, cuts: () => cuts, refuse: (yes) => { isRefusing = yes; } };
}

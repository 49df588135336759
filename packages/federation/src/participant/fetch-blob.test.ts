import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBlobStore, type BlobStore } from '@zk0/storage';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FederationConnection } from './connection.ts';
import { fetchBlob } from './fetch-blob.ts';

const bytes = Buffer.from('the parameters of a round');
const blob = { hash: createHash('sha256').update(bytes).digest('hex'), byteLength: bytes.byteLength };
const { signal } = new AbortController();

let directory: string;
let blobs: BlobStore;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'zk0-fetch-'));
  blobs = await openBlobStore(directory, { durable: false });
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A server's side of a download: it sends what is not there. */
class Source implements Pick<FederationConnection, 'download'> {
  sent = 0;
  readonly #after: () => void;

  constructor(after: () => void = () => undefined) {
    this.#after = after;
  }

  async download(hash: string, _byteLength: number, store: BlobStore): Promise<void> {
    if (!(await store.has(hash))) {
      await store.put(bytes);
      this.sent++;
    }
    this.#after();
  }
}

const damage = (): void => {
  // As a power cut leaves a file that was not forced to disk: its size is there, its bytes are not.
  truncateSync(blobs.path(blob.hash), 3);
  truncateSync(blobs.path(blob.hash), blob.byteLength);
};

describe('fetchBlob', () => {
  it('brings a blob once, and fetches it again when the copy here is damaged', async () => {
    const source = new Source();
    expect(await readFile(await fetchBlob(blob, { connection: source, blobs }, { signal }))).toEqual(bytes);
    await fetchBlob(blob, { connection: source, blobs }, { signal });
    expect(source.sent).toBe(1);
    damage();
    expect(await readFile(await fetchBlob(blob, { connection: source, blobs }, { signal }))).toEqual(bytes);
    expect(source.sent).toBe(2);
  });

  it('gives up when the fresh copy is damaged too', async () => {
    const source = new Source(damage);
    await expect(fetchBlob(blob, { connection: source, blobs }, { signal })).rejects.toMatchObject({ code: 'BLOB_DAMAGED' });
  });
});

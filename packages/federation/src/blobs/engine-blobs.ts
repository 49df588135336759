import type { BlobStore } from '@zk0/storage';

/** What the engine itself needs of a store of blobs; every {@link BlobStore} has it. */
export interface EngineBlobs extends Pick<BlobStore, 'size' | 'put' | 'putFile' | 'localFile' | 'verifiedFile' | 'collect' | 'isRemote'> {
  /** Reads a range of a blob. Needed by a store that is elsewhere. */
  openRead?: BlobStore['openRead'];
  /** The bytes of a blob, by a store that holds them in memory: they are read without a file then. `undefined` when it has no such blob. */
  inMemory?(hash: string): Uint8Array | undefined;
}

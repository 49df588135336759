import { open, rm } from 'node:fs/promises';
import type { PassPart } from '@zk0/strategy';
import { FederationError } from '../errors.ts';

/** What a part leaves: the results of its blocks in order, then their sums as little-endian float64 values. */
export interface OpenPart extends PassPart {
  close(): Promise<void>;
}

/**
 * Writes a part to a file as it is computed.
 *
 * @param compute is given what writes results at a position, and returns the sums.
 * @throws what `compute` and the file system throw; there is no file then.
 */
export async function writePart(path: string, compute: (write: (bytes: Uint8Array, position: number) => Promise<void>) => Promise<Float64Array>): Promise<void> {
  const handle = await open(path, 'w');
  try {
    let end = 0;
    const write = async (bytes: Uint8Array, position: number): Promise<void> => {
      end = Math.max(end, position + bytes.byteLength);
      for (let done = 0; done < bytes.byteLength; ) done += (await handle.write(bytes, done, bytes.byteLength - done, position + done)).bytesWritten;
    };
    const sums = await compute(write);
    await write(new Uint8Array(sums.slice().buffer), end);
  } catch (error) {
    await handle.close();
    await rm(path, { force: true });
    throw error;
  }
  await handle.close();
}

/** @throws FederationError `PART_UNREADABLE` for a file that is too short */
export async function openPart(path: string, blocks: number, sumsPerBlock: number): Promise<OpenPart> {
  const handle = await open(path);
  const read = async (into: Uint8Array, position: number): Promise<void> => {
    for (let done = 0; done < into.byteLength; ) {
      const { bytesRead } = await handle.read(into, done, into.byteLength - done, position + done);
      if (bytesRead === 0) throw new FederationError('PART_UNREADABLE', 'a part of an aggregation is too short', { hint: 'Run the same zk0 release on all servers.' });
      done += bytesRead;
    }
  };
  try {
    const sums = new Float64Array(blocks * sumsPerBlock);
    await read(new Uint8Array(sums.buffer), Math.max(0, (await handle.stat()).size - sums.byteLength));
    return { blocks, sums, read, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

import type { FileHandle } from 'node:fs/promises';

/** Size of one read of a file that is streamed: large enough for full disk speed, small beside any tensor. */
export const CHUNK_BYTES = 1 << 20;
/** The operating system's own bound on one read or write is just below 2 GiB. */
const MAX_IO_BYTES = 1 << 30;

/** Fills `into` from `position` on; `false` when the file ends before. */
export async function readFully(handle: FileHandle, into: Uint8Array, position: number): Promise<boolean> {
  let done = 0;
  while (done < into.byteLength) {
    const length = Math.min(into.byteLength - done, MAX_IO_BYTES);
    const { bytesRead } = await handle.read(into, done, length, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}

/** Writes all of `bytes` at `position`. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(bytes.byteLength - done, MAX_IO_BYTES);
    const { bytesWritten } = await handle.write(bytes, done, length, position + done);
    done += bytesWritten;
  }
}

/** Calls `onChunk` for every piece of the file from its start; the piece is valid during the call only. */
export async function readChunks(handle: FileHandle, onChunk: (chunk: Uint8Array) => void): Promise<number> {
  const { size } = await handle.stat();
  // One byte more than there is: a read that returns nothing is the end.
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, size + 1));
  let position = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, position);
    if (bytesRead === 0) return position;
    onChunk(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

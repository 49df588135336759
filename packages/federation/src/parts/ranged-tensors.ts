import { compareNames, headerLength, parseHeader, type BlobReference, type TensorLocation, type TensorSpec } from '@zk0/core';
import { StorageError, type BlobStore } from '@zk0/storage';
import type { OpenTensors } from '../run/open-blobs.ts';

/** Bytes that are asked for at a time, at most and at least. */
const MAX_WINDOW_BYTES = 4 * 2 ** 20;
const MIN_WINDOW_BYTES = 64 * 2 ** 10;
/** Windows of a blob that are kept: blocks are computed a few at a time, in order. */
const KEPT_WINDOWS = 3;
/** What the windows of all blobs may take together, in bytes. */
const TOTAL_BYTES = 256 * 2 ** 20;

/** How much of each blob is read at a time where so many are read side by side. */
export function windowFor(blobs: number): number {
  return Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, Math.floor(TOTAL_BYTES / KEPT_WINDOWS / Math.max(1, blobs))));
}

/**
 * Opens a blob of a store that is elsewhere as tensors of which only what is read is fetched, a window at a time. Its bytes are not hashed,
 * because the hash covers all of them: the store has checked them when they arrived, and whoever took the update in has.
 *
 * @throws SafetensorsError for bytes that are no safetensors file; what the store throws
 */
export async function openRanged(blobs: Pick<BlobStore, 'openRead'>, { hash, byteLength }: BlobReference, windowBytes: number): Promise<OpenTensors> {
  const windows = new Map<number, Promise<Uint8Array>>();
  const windowAt = (index: number): Promise<Uint8Array> => {
    const known = windows.get(index);
    if (known !== undefined) return known;
    const start = index * windowBytes;
    const fetched = fetchRange(blobs, hash, start, Math.min(byteLength, start + windowBytes));
    windows.set(index, fetched);
    fetched.catch(() => windows.delete(index));
    for (const old of [...windows.keys()].slice(0, -KEPT_WINDOWS)) windows.delete(old);
    return fetched;
  };
  const read = async (position: number, into: Uint8Array): Promise<void> => {
    for (let done = 0; done < into.byteLength; ) {
      const [index, at] = [Math.floor((position + done) / windowBytes), (position + done) % windowBytes];
      const piece = (await windowAt(index)).subarray(at, at + into.byteLength - done);
      into.set(piece, done);
      done += piece.byteLength;
    }
  };
  const prefix = new Uint8Array(8);
  await read(0, prefix);
  const json = new Uint8Array(headerLength(prefix, byteLength));
  await read(8, json);
  const { tensors, metadata } = parseHeader(json, byteLength);
  const places = new Map<string, TensorLocation>(tensors.map((tensor) => [tensor.name, tensor]));
  const specs: readonly TensorSpec[] = tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })).sort((a, b) => compareNames(a.name, b.name));
  return {
    byteLength,
    metadata,
    specs,
    readBytes: async (name, byteOffset, into) => {
      const place = places.get(name);
      if (place === undefined || byteOffset < 0 || place.begin + byteOffset + into.byteLength > place.end) {
        throw new StorageError('TENSOR_RANGE', `blob ${hash}: tensor ${name}: bytes ${byteOffset}…${byteOffset + into.byteLength} are not there`);
      }
      await read(place.begin + byteOffset, into);
    },
  };
}

async function fetchRange(blobs: Pick<BlobStore, 'openRead'>, hash: string, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  let done = 0;
  for await (const chunk of await blobs.openRead(hash, { start, end })) {
    bytes.set(chunk, done);
    done += chunk.byteLength;
  }
  if (done !== bytes.byteLength) throw new StorageError('STORE_UNREACHABLE', `blob ${hash}: ${bytes.byteLength - done} bytes did not come`);
  return bytes;
}

import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { fileError } from '@zk0/storage';
import type { PushFile } from './push.ts';

const SAMPLE_BYTES = 512;
const PIECE_BYTES = 1 << 20;

/** A file to push, with what tells whether the hub has it. */
export interface LocalFile extends PushFile {
  /** Bytes. */
  readonly size: number;
  /** Its first bytes, from which the hub tells text from other content. */
  readonly sample: Uint8Array;
  readonly sha256: string;
  /** SHA-1 of its blob in git. */
  readonly gitHash: string;
}

/** Reads a file once. @throws StorageError */
export async function describeFile(file: PushFile): Promise<LocalFile> {
  const { content } = file;
  const size = typeof content === 'string' ? await sizeOf(content) : content.byteLength;
  const sha256 = createHash('sha256');
  const git = createHash('sha1').update(`blob ${size}\0`);
  let sample: Uint8Array = new Uint8Array();
  for await (const piece of readRange({ content }, 0, size)) {
    if (sample.byteLength === 0) sample = Uint8Array.from(piece.subarray(0, SAMPLE_BYTES));
    sha256.update(piece);
    git.update(piece);
  }
  return { ...file, size, sample, sha256: sha256.digest('hex'), gitHash: git.digest('hex') };
}

/** Bytes `from` up to `to` of a file, in pieces. @throws StorageError when it cannot be read or has become shorter. */
export async function* readRange({ content }: Pick<PushFile, 'content'>, from: number, to: number): AsyncGenerator<Uint8Array> {
  if (typeof content !== 'string') {
    yield content.subarray(from, to);
    return;
  }
  try {
    const handle = await open(content, 'r');
    try {
      for (let at = from; at < to; ) {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.min(PIECE_BYTES, to - at)), 0, Math.min(PIECE_BYTES, to - at), at);
        if (bytesRead === 0) throw new Error('it has become shorter');
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError('read', content, error);
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    throw fileError('read', path, error);
  }
}

import { createHash } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { StoredEntry } from '@zk0/federation';
import { headers, type MsgHdrs } from '@nats-io/transport-node';

/** An entry of a run's history as one message of the stream, with the summary that the run has after it. */
export interface EntryMessage {
  readonly entry: StoredEntry;
  readonly summary: string;
  /** When the run's first entry was written: milliseconds since the epoch. */
  readonly createdAt: number;
  /** The stream's sequence of the run's first entry; `null` in that entry itself. */
  readonly first: number | null;
  /** Covers this entry and every one before it. */
  readonly checksum: string;
  /** Which append wrote it: no other has the same. */
  readonly id: string;
}

/** A message as it is sent. */
export interface EncodedMessage {
  readonly payload: Uint8Array;
  readonly headers: MsgHdrs;
}

/** A message as the stream gives it. */
export interface RawMessage {
  readonly seq: number;
  readonly data: Uint8Array;
  readonly header: MsgHdrs;
}

/** Entries of so many bytes are compressed: thousands of assignments hold mostly the same words. */
const COMPRESSED_BYTES = 16 * 2 ** 10;
/** An entry is never larger than this when it is read. */
const MAX_ENTRY_BYTES = 2 ** 30;
const ZSTD = 'zstd';

/** Each checksum covers everything before it: a flipped bit, a missing entry and a swapped one are all noticed. */
export function chain(previous: string, { at, event }: StoredEntry): string {
  return createHash('sha256').update(`${previous}\n${at}\n${event}`).digest('hex');
}

/** Event and summary one after the other as the payload, the rest as headers. */
export function encodeEntry({ entry, summary, createdAt, first, checksum, id }: EntryMessage): EncodedMessage {
  const event = Buffer.from(entry.event);
  const plain = Buffer.concat([event, Buffer.from(summary)]);
  const isLarge = plain.byteLength >= COMPRESSED_BYTES;
  const made = headers();
  made.set('Nats-Msg-Id', id);
  made.set('Zk0-Position', String(entry.position));
  made.set('Zk0-At', String(entry.at));
  made.set('Zk0-Created-At', String(createdAt));
  if (first !== null) made.set('Zk0-First', String(first));
  made.set('Zk0-Checksum', checksum);
  made.set('Zk0-Event-Bytes', String(event.byteLength));
  if (isLarge) made.set('Zk0-Encoding', ZSTD);
  return { payload: isLarge ? zstdCompressSync(plain) : plain, headers: made };
}

/** @throws Error for what {@link encodeEntry} has not made */
export function decodeEntry({ seq, data, header }: RawMessage): EntryMessage & { readonly seq: number } {
  const text = (name: string): string => {
    const value = header.get(name);
    if (value === '') throw new Error(`it has no ${name}`);
    return value;
  };
  const integer = (name: string): number => {
    const value = Number(text(name));
    if (!Number.isSafeInteger(value)) throw new Error(`its ${name} is no number`);
    return value;
  };
  const encoding = header.get('Zk0-Encoding');
  if (encoding !== '' && encoding !== ZSTD) throw new Error(`its encoding ${encoding} is unknown`);
  const plain = Buffer.from(encoding === ZSTD ? zstdDecompressSync(data, { maxOutputLength: MAX_ENTRY_BYTES }) : data);
  const eventBytes = integer('Zk0-Event-Bytes');
  if (eventBytes < 0 || eventBytes > plain.byteLength) throw new Error('it is cut short');
  return {
    seq,
    entry: { position: integer('Zk0-Position'), at: integer('Zk0-At'), event: plain.toString('utf8', 0, eventBytes) },
    summary: plain.toString('utf8', eventBytes),
    createdAt: integer('Zk0-Created-At'),
    first: header.has('Zk0-First') ? integer('Zk0-First') : null,
    checksum: text('Zk0-Checksum'),
    id: text('Nats-Msg-Id'),
  };
}

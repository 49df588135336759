import { randomBytes, randomUUID } from 'node:crypto';
import { errorMessage } from '@zk0/core';
import { FederationError, type LedgerStore, type StoredEntry, type StoredRun } from '@zk0/federation';
import { headers } from '@nats-io/transport-node';
import * as z from 'zod';
import { isConflict } from '../nats/nats-error.ts';
import { fromToken } from '../nats/subject-token.ts';
import { chain, decodeEntry, encodeEntry, type EntryMessage, type RawMessage } from './entry-message.ts';
import type { LedgerStream } from './ledger-stream.ts';

/** Where a run's history ends, as far as this process has written or read it. */
interface Tail {
  readonly position: number;
  /** The stream's sequence of that entry; 0 before the first. */
  readonly seq: number;
  readonly checksum: string;
  readonly createdAt: number;
  readonly first: number;
}

/** What is said of a run beside its history. */
const noteSchema = z.strictObject({
  error: z.string().nullable(),
  /** A summary that holds as long as the run has so many entries. */
  summary: z.strictObject({ text: z.string(), length: z.int() }).nullable(),
});
type Note = z.infer<typeof noteSchema>;

/** Runs that are asked for at the same time. */
const PARALLEL = 32;
const MAX_ATTEMPTS = 20;
const SECRET_BYTES = 32;

/**
 * Histories of runs in one JetStream stream, one subject a run. An append names the sequence that the subject's newest message must have,
 * so the stream's leader lets one of several writers win; the run's summary travels in the same message. Reads that decide something go
 * to the leader, bulk reads to any replica, up to the message that the leader named.
 */
export class NatsLedgerStore implements LedgerStore {
  readonly #stream: LedgerStream;
  readonly #tails = new Map<string, Tail>();
  /** Runs as they were seen last, by how many messages their subjects had then. */
  readonly #seen = new Map<string, { readonly messages: number; readonly run: StoredRun & { readonly first: number } }>();
  readonly #notes = new Map<string, { readonly messages: number; readonly note: Note }>();

  constructor(stream: LedgerStream) {
    this.#stream = stream;
  }

  async append(runId: string, entry: StoredEntry, summary: string): Promise<boolean> {
    const tail = await this.#tailBefore(runId, entry.position);
    if (tail === null) return false;
    const isFirst = tail.seq === 0;
    const message: EntryMessage = {
      entry,
      summary,
      createdAt: isFirst ? entry.at : tail.createdAt,
      first: isFirst ? null : tail.first,
      checksum: chain(tail.checksum, entry),
      id: `${runId}/${entry.position}/${randomUUID()}`,
    };
    const encoded = encodeEntry(message);
    const subject = this.#stream.subject('run', runId);
    let seq: number;
    try {
      seq = await this.#stream.append(subject, message.id, encoded.payload, encoded.headers, tail.seq);
    } catch (error) {
      if (!isConflict(error)) throw error;
      // Another writer, or this append itself, whose answer was lost long ago.
      const [own] = await this.#read(runId, tail.seq + 1, (await this.#last(runId))!.seq);
      if (own?.id !== message.id) return false;
      seq = own.seq;
    }
    this.#tails.set(runId, { position: entry.position, seq, checksum: message.checksum, createdAt: message.createdAt, first: message.first ?? seq });
    return true;
  }

  async entries(runId: string, from = 1): Promise<readonly StoredEntry[]> {
    const last = await this.#last(runId);
    if (last === null || last.entry.position < from) return [];
    const known = this.#tails.get(runId);
    const start = known?.position === from - 1 ? known : null;
    let checksum = start?.checksum ?? '';
    let position = start?.position ?? 0;
    const messages = await this.#read(runId, (start?.seq ?? (last.first ?? last.seq) - 1) + 1, last.seq);
    const entries = messages.map((message) => {
      position++;
      checksum = chain(checksum, message.entry);
      if (message.entry.position !== position || checksum !== message.checksum) throw damaged(runId, position);
      return message.entry;
    });
    this.#tails.set(runId, tailOf(last));
    return entries.filter((entry) => entry.position >= from);
  }

  async runs(): Promise<readonly StoredRun[]> {
    const counts = await this.#stream.counts();
    const found: (StoredRun & { readonly first: number })[] = [];
    const subjects = [...counts].filter(([subject]) => subject === this.#stream.subject('run', runOf(subject)));
    for (let begin = 0; begin < subjects.length; begin += PARALLEL) {
      const part = subjects.slice(begin, begin + PARALLEL).map(([subject, messages]) => this.#stored(runOf(subject), messages, counts));
      found.push(...(await Promise.all(part)).filter((run) => run !== null));
    }
    return found.sort((a, b) => a.first - b.first).map(withoutFirst);
  }

  async run(runId: string): Promise<StoredRun | null> {
    const run = await this.#stored(runId, null, null);
    return run === null ? null : withoutFirst(run);
  }

  async summarize(runId: string, text: string): Promise<void> {
    const length = (await this.#last(runId))?.entry.position ?? 0;
    await this.#note(runId, (note) => ({ ...note, summary: { text, length } }));
  }

  quarantine(runId: string, error: string): Promise<void> {
    return this.#note(runId, (note) => ({ ...note, error }));
  }

  async secret(runId: string): Promise<Uint8Array> {
    const subject = this.#stream.subject('secret', runId);
    const drawn = randomBytes(SECRET_BYTES);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const stored = await this.#stream.last(subject);
      if (stored !== null) return Uint8Array.from(stored.data);
      await this.#appendUnless(subject, drawn, 0);
    }
    throw unsettled(runId);
  }

  watch(onEntry: (runId: string | null, position: number) => void): () => Promise<void> {
    return this.#stream.watch((message) => {
      const position = Number(message?.headers?.get('Zk0-Position') ?? 0);
      if (message === null) onEntry(null, 0);
      else onEntry(runOf(message.subject), Number.isSafeInteger(position) ? position : 0);
    });
  }

  /** A run as its newest message and the note on it say; what was seen with as many messages still holds. */
  async #stored(runId: string, messages: number | null, counts: ReadonlyMap<string, number> | null): Promise<(StoredRun & { readonly first: number }) | null> {
    const seen = this.#seen.get(runId);
    const noteMessages = counts === null ? null : (counts.get(this.#stream.subject('note', runId)) ?? 0);
    const note = await this.#noteOn(runId, noteMessages);
    if (seen !== undefined && seen.messages === messages) return noted(seen.run, note);
    const last = await this.#stream.last(this.#stream.subject('run', runId));
    if (last === null) return null;
    let run: StoredRun & { readonly first: number };
    try {
      const message = decodeEntry(last);
      run = { runId, createdAt: message.createdAt, length: message.entry.position, summary: message.summary, error: null, first: message.first ?? message.seq };
    } catch (error) {
      run = { runId, createdAt: last.time.getTime(), length: 0, summary: '', error: `its newest entry is damaged (${errorMessage(error)})`, first: last.seq };
    }
    if (messages !== null) this.#seen.set(runId, { messages, run });
    return noted(run, note);
  }

  /** The end of a run's history if it is just before a position; `null` when another writer was faster, or there is a gap. */
  async #tailBefore(runId: string, position: number): Promise<Tail | null> {
    const known = this.#tails.get(runId);
    if (known?.position === position - 1) return known;
    const last = await this.#last(runId);
    const tail = last === null ? { position: 0, seq: 0, checksum: '', createdAt: 0, first: 0 } : tailOf(last);
    return tail.position === position - 1 ? tail : null;
  }

  async #last(runId: string): Promise<(EntryMessage & { readonly seq: number }) | null> {
    const last = await this.#stream.last(this.#stream.subject('run', runId));
    return last === null ? null : decoded(runId, last);
  }

  async #read(runId: string, from: number, to: number): Promise<readonly (EntryMessage & { readonly seq: number })[]> {
    return (await this.#stream.read(this.#stream.subject('run', runId), from, to)).map((message) => decoded(runId, message));
  }

  async #noteOn(runId: string, messages: number | null): Promise<Note> {
    if (messages === 0) return NO_NOTE;
    const known = this.#notes.get(runId);
    if (known !== undefined && known.messages === messages) return known.note;
    const last = await this.#stream.last(this.#stream.subject('note', runId));
    const note = last === null ? NO_NOTE : readNote(last);
    if (messages !== null) this.#notes.set(runId, { messages, note });
    return note;
  }

  async #note(runId: string, change: (note: Note) => Note): Promise<void> {
    const subject = this.#stream.subject('note', runId);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const last = await this.#stream.last(subject);
      const payload = Buffer.from(JSON.stringify(change(last === null ? NO_NOTE : readNote(last))));
      if (await this.#appendUnless(subject, payload, last?.seq ?? 0)) return;
    }
    throw unsettled(runId);
  }

  /** Appends; `false` when another writer was faster, or the answer to an earlier attempt was lost. */
  async #appendUnless(subject: string, payload: Uint8Array, expected: number): Promise<boolean> {
    try {
      await this.#stream.append(subject, randomUUID(), payload, headers(), expected);
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }
}

const NO_NOTE: Note = { error: null, summary: null };

function readNote({ data }: RawMessage): Note {
  try {
    return noteSchema.parse(JSON.parse(Buffer.from(data).toString()));
  } catch (error) {
    return { error: `the note on it is damaged (${errorMessage(error)})`, summary: null };
  }
}

function noted<T extends StoredRun>(run: T, { error, summary }: Note): T {
  return { ...run, ...(error !== null && { error }), ...(summary?.length === run.length && { summary: summary.text }) };
}

function withoutFirst({ runId, createdAt, length, summary, error }: StoredRun): StoredRun {
  return { runId, createdAt, length, summary, error };
}

function tailOf({ entry, seq, checksum, createdAt, first }: EntryMessage & { readonly seq: number }): Tail {
  return { position: entry.position, seq, checksum, createdAt, first: first ?? seq };
}

function runOf(subject: string): string {
  return fromToken(subject.slice(subject.lastIndexOf('.') + 1));
}

function decoded(runId: string, message: RawMessage): EntryMessage & { readonly seq: number } {
  try {
    return decodeEntry(message);
  } catch (cause) {
    throw new FederationError('RUN_UNREADABLE', `run ${runId}: message ${message.seq} of its history cannot be read (${errorMessage(cause)})`, { cause, hint: RESTORE });
  }
}

const RESTORE = 'Restore the ledger from a backup, or start a new run from the last checkpoint.';

function damaged(runId: string, position: number): FederationError {
  return new FederationError('RUN_UNREADABLE', `run ${runId}: entry ${position} of its history is damaged or missing`, { hint: RESTORE });
}

function unsettled(runId: string): FederationError {
  return new FederationError('LEDGER_UNUSABLE', `run ${runId}: ${MAX_ATTEMPTS} writers in a row were faster`, { hint: 'Check what else writes to the stream.' });
}

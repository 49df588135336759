import { TransportError } from '../errors.ts';

/** An outcome that nobody asked for again is forgotten after so long, in ms. */
const KEEP_MS = 120_000;

/** What is known when the time for an answer is up. */
export type Answer<T> = { readonly done: true; readonly value: T } | { readonly done: false };

interface Entry {
  readonly owner: string;
  readonly work: Promise<unknown>;
  forget: NodeJS.Timeout | undefined;
}

/**
 * Work that may take longer than a peer, or a proxy on the way, waits for an answer: checking a large update, hashing what an upload
 * left on disk. A request is answered in time, with "not done yet" if need be; the peer asks again, and finds the same work.
 */
export class PendingWork {
  readonly #answerWithinMs: number;
  readonly #maxPerOwner: number;
  readonly #entries = new Map<string, Entry>();

  /**
   * @param answerWithinMs - how long one request waits
   * @param maxPerOwner - pieces of work of one owner at a time; more are refused, so that a peer cannot pile them up
   */
  constructor(answerWithinMs: number, maxPerOwner: number) {
    this.#answerWithinMs = answerWithinMs;
    this.#maxPerOwner = maxPerOwner;
  }

  /** Pieces of work that are under way, or whose outcome waits to be fetched. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Waits for the work of this key, and starts it when there is none. Its outcome, also a failure, is given once; asked again after
   * that, the work is done again.
   *
   * @throws what the work throws; TransportError `BUSY`
   */
  async answer<T>(owner: string, key: string, start: () => Promise<T>): Promise<Answer<T>> {
    const id = `${owner} ${key}`;
    const entry = this.#entries.get(id) ?? this.#begin(owner, id, start);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Answer<T>>((resolve) => {
      timer = setTimeout(() => { resolve({ done: false }); }, this.#answerWithinMs);
    });
    try {
      const answer = await Promise.race([(entry.work as Promise<T>).then((value): Answer<T> => ({ done: true, value })), late]);
      if (answer.done) this.#remove(id, entry);
      return answer;
    } catch (error) {
      this.#remove(id, entry);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #begin<T>(owner: string, id: string, start: () => Promise<T>): Entry {
    let count = 0;
    for (const other of this.#entries.values()) if (other.owner === owner) count++;
    if (count >= this.#maxPerOwner) {
      throw new TransportError('BUSY', `${owner}: ${this.#maxPerOwner} requests are being worked on already`);
    }
    const entry: Entry = { owner, work: start(), forget: undefined };
    this.#entries.set(id, entry);
    const settled = (): void => {
      if (this.#entries.get(id) !== entry) return;
      entry.forget = setTimeout(() => { this.#remove(id, entry); }, KEEP_MS).unref();
    };
    entry.work.then(settled, settled);
    return entry;
  }

  #remove(id: string, entry: Entry): void {
    clearTimeout(entry.forget);
    if (this.#entries.get(id) === entry) this.#entries.delete(id);
  }
}

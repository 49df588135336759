import { stat } from 'node:fs/promises';

/** For so long, in ms, a file is taken to hold what it held: by then its bytes may be read from the disk again, not from memory. */
const KNOWN_MS = 60_000;
/** Of more files than this, the oldest are forgotten. */
const MAX_FILES = 1024;

/**
 * Files whose bytes were hashed a moment ago. As long as the system says that nobody has written to one since, to hash it again would show
 * nothing new: the bytes would come from the same memory.
 */
export class KnownFiles {
  /** What the system said of each file when its hash was known, and when that was. */
  readonly #files = new Map<string, { readonly stamp: string; readonly at: number }>();

  /** Notes that the hash of a file is known: it has just been written, or read. */
  async add(path: string): Promise<void> {
    this.#note(path, await stampOf(path));
  }

  /** Hashes a file; unless it is written to meanwhile, its hash is known from here on. */
  async hashed<T>(path: string, hash: () => Promise<T>): Promise<T> {
    const before = await stampOf(path);
    const result = await hash();
    this.#note(path, before);
    return result;
  }

  /** Whether a file still is what it was when its hash was known, and that was a moment ago. */
  async isUnchanged(path: string, byteLength: number): Promise<boolean> {
    const known = this.#files.get(path);
    if (known === undefined || performance.now() - known.at > KNOWN_MS) return false;
    return known.stamp === (await stampOf(path, byteLength));
  }

  #note(path: string, stamp: string | undefined): void {
    this.#files.delete(path);
    if (stamp === undefined) return;
    this.#files.set(path, { stamp, at: performance.now() });
    for (const [oldest] of this.#files) {
      if (this.#files.size <= MAX_FILES) return;
      this.#files.delete(oldest);
    }
  }
}

/** Which file it is, its size, and when its bytes last changed; undefined where there is none, or one of another size. */
async function stampOf(path: string, byteLength?: number): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined || (byteLength !== undefined && found.size !== BigInt(byteLength))) return undefined;
  const { dev, ino, size, mtimeNs } = found;
  return [dev, ino, size, mtimeNs].join('/');
}

import * as fs from 'node:fs';
import { readdir, rename, stat, unlink } from 'node:fs/promises';
import * as path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { LogFileError } from './errors.ts';

/** When a log file is put aside, and how long what was put aside is kept. */
export interface RotationOptions {
  /** Size from which the next line goes to a fresh file. */
  readonly maxBytes: number;
  /** Days after which a compressed file is deleted. */
  readonly keepDays: number;
}

/** A process that died while rotating leaves its lock behind; after this time another one takes over. */
const STALE_LOCK_MS = 30_000;
/** A process that opened the file just before it was put aside may still write one line into it. */
const SETTLE_MS = 250;
/** What {@link RotatingFile} appends to the name of a file put aside. */
const ASIDE = /^\.\d{4}-\d\d-\d\dT[\dZ-]+(\.gz)?$/;
const DAY_MS = 86_400_000;

/**
 * An append-only log file that several processes share.
 *
 * A line is one `write` on a descriptor opened with `O_APPEND`, so lines of different processes never mix and stand in
 * the order they were written. Nothing is buffered: a killed process loses no line. When the file has grown past its
 * limit one process (a lock file decides which) renames it to `<name>.<time>-<pid>-<count>`; the others notice that the path
 * has another inode and open it anew. Files put aside are compressed in the background and deleted when old.
 */
export class RotatingFile {
  readonly path: string;
  private readonly options: RotationOptions;
  private descriptor: number | undefined;
  private inode = 0;
  private upkeep: Promise<void> = Promise.resolve();
  private failed = false;
  private rotations = 0;

  /** @throws LogFileError when the file cannot be opened */
  constructor(file: string, options: RotationOptions) {
    this.path = path.resolve(file);
    this.options = options;
    try {
      fs.mkdirSync(path.dirname(this.path), { recursive: true });
      this.open();
    } catch (error) {
      throw new LogFileError(this.path, { cause: error });
    }
    this.scheduleUpkeep(0);
  }

  /** Appends one line (the line break is added). Never throws: a full disk must not end a training run. */
  write(line: string): void {
    if (this.descriptor === undefined) return;
    try {
      this.follow();
      const bytes = Buffer.from(`${line}\n`);
      let written = 0;
      while (written < bytes.length) written += fs.writeSync(this.descriptor, bytes, written);
      this.failed = false;
    } catch (error) {
      if (!this.failed) {
        process.stderr.write(`warning: ${this.path} cannot be written: ${String(error)}\n`);
      }
      this.failed = true;
    }
  }

  /** Waits for compression under way. Lines themselves are never pending. */
  async flush(): Promise<void> {
    await this.upkeep;
  }

  async close(): Promise<void> {
    if (this.descriptor !== undefined) fs.closeSync(this.descriptor);
    this.descriptor = undefined;
    await this.upkeep;
  }

  private open(): void {
    if (this.descriptor !== undefined) fs.closeSync(this.descriptor);
    this.descriptor = undefined;
    this.descriptor = fs.openSync(this.path, 'a');
    this.inode = fs.fstatSync(this.descriptor).ino;
  }

  /** Makes `descriptor` the file that is now at `path`, and that file one with room. */
  private follow(): void {
    const now = fs.statSync(this.path, { throwIfNoEntry: false });
    if (now?.ino !== this.inode) this.open();
    else if (now.size >= this.options.maxBytes) this.rotate();
  }

  private rotate(): void {
    const lock = `${this.path}.lock`;
    if (!takeLock(lock)) return;
    try {
      const now = fs.statSync(this.path, { throwIfNoEntry: false });
      // Another process may have rotated between our look at the size and our lock.
      if (now !== undefined && now.size >= this.options.maxBytes) {
        const time = new Date().toISOString().replace(/[:.]/g, '-');
        // The count keeps two rotations of one millisecond apart.
        fs.renameSync(this.path, `${this.path}.${time}-${process.pid}-${this.rotations++}`);
      }
      this.open();
    } finally {
      fs.rmSync(lock, { force: true });
    }
    this.scheduleUpkeep(SETTLE_MS);
  }

  /** Compression and deletion follow each other, never two at once in a process, and never fail the caller. */
  private scheduleUpkeep(delayMs: number): void {
    this.upkeep = this.upkeep
      .then(() => new Promise<void>((resolve) => setTimeout(resolve, delayMs)))
      .then(() => tidy(this.path, this.options.keepDays))
      .catch(() => undefined);
  }
}

function takeLock(lock: string): boolean {
  try {
    fs.closeSync(fs.openSync(lock, 'wx'));
    return true;
  } catch {
    const age = Date.now() - (fs.statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > STALE_LOCK_MS) fs.rmSync(lock, { force: true });
    return false;
  }
}

/** Compresses the files put aside under `file`, deletes compressed ones older than `keepDays`. */
async function tidy(file: string, keepDays: number): Promise<void> {
  const folder = path.dirname(file);
  const base = path.basename(file);
  const aside = (await readdir(folder)).filter((name) => name.startsWith(base) && ASIDE.test(name.slice(base.length)));
  for (const name of aside) {
    const full = path.join(folder, name);
    if (!name.endsWith('.gz')) await compress(full);
    else if (Date.now() - (await stat(full)).mtimeMs > keepDays * DAY_MS) await unlink(full);
  }
}

async function compress(file: string): Promise<void> {
  // Several processes may come to the same file: each writes its own temporary, and the last rename wins, whole.
  const temporary = `${file}.gz.${process.pid}.tmp`;
  try {
    await pipeline(fs.createReadStream(file), createGzip(), fs.createWriteStream(temporary));
    await rename(temporary, `${file}.gz`);
    await unlink(file);
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

import { createHash } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobReference } from '@zk0/core';
import { assertHash, type UploadOptions } from './blob-store.ts';
import type { Announcement, Budget } from './budget.ts';
import { fileError } from './errors.ts';
import { Upload } from './upload.ts';

/** When the budget is short, an upload that stood still this long makes room for a living one. */
const RECLAIM_IDLE_MS = 10 * 60_000;
const PARTIAL = /^(?<hash>[0-9a-f]{64})-(?<size>\d{1,16})(?:-(?<owner>[0-9a-f]{16}))?\.part$/;

/** The uploads of a directory store: partial files, named by blob and owner, so that a restart knows whose they are. */
export class Uploads {
  readonly #directory: string;
  readonly #budget: Budget;
  readonly #durable: boolean;
  readonly #open = new Map<string, Promise<Upload>>();

  /** @param durable whether what arrived is forced to disk before it counts */
  constructor(directory: string, budget: Budget, durable: boolean) {
    this.#directory = directory;
    this.#budget = budget;
    this.#durable = durable;
  }

  /** Finds what an earlier process left. */
  async load(): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      const parts = PARTIAL.exec(name)?.groups;
      if (parts !== undefined) this.#budget.announce(name, { bytes: Number(parts['size']), owner: parts['owner'] ?? '' });
    }
  }

  /** The upload of this blob by this owner: in memory, on disk, or new. Loaded once, however many ask at the same time. */
  async get(blob: BlobReference, { owner }: UploadOptions): Promise<Upload> {
    assertHash(blob.hash);
    const name = partialName(blob, owner);
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const loading = (async () => {
      if (!this.#budget.has(name)) await this.#announce(name, blob, owner);
      return Upload.open({ ...blob }, join(this.#directory, name), this.#durable);
    })();
    this.#open.set(name, loading);
    try {
      return await loading;
    } catch (error) {
      this.#open.delete(name);
      this.#budget.withdraw(name);
      throw error;
    }
  }

  /** An upload's file has become a blob: its room is the blob's now, unless another had brought the same. */
  settled(blob: BlobReference, { owner }: UploadOptions, isNew: boolean): void {
    const name = partialName(blob, owner);
    if (isNew) this.#budget.settle(name);
    else this.#budget.withdraw(name);
    this.#open.delete(name);
  }

  /** Gives up this owner's upload of a blob, if there is one and nothing arrives for it. */
  async discard(blob: BlobReference, { owner }: UploadOptions): Promise<void> {
    const name = partialName(blob, owner);
    if (!this.#budget.has(name)) return;
    const upload = await this.#open.get(name)?.catch(() => undefined);
    if (upload?.isActive !== true) await this.#remove(name);
  }

  async dropIdle(idleMs: number): Promise<void> {
    const oldest = Date.now() - idleMs;
    for (const { name, touched } of await this.#idle()) if (touched <= oldest) await this.#remove(name);
  }

  /** Makes what room can be made from uploads that stand still. */
  async reclaim(): Promise<void> {
    await this.dropIdle(RECLAIM_IDLE_MS);
  }

  async #announce(name: string, blob: BlobReference, owner: string | undefined): Promise<void> {
    this.#budget.assertBlobSize(blob);
    const announcement: Announcement = { bytes: blob.byteLength, owner: owner === undefined ? '' : tagOf(owner) };
    let refusal = this.#budget.refusal(announcement);
    if (refusal === 'owner') {
      await this.#dropOldestOf(announcement.owner, name);
      refusal = this.#budget.refusal(announcement);
    }
    if (refusal === 'uploads' || refusal === 'bytes') {
      await this.reclaim();
      refusal = this.#budget.refusal(announcement);
    }
    if (refusal !== null) throw this.#budget.fullError(blob, refusal, owner ?? '');
    this.#budget.announce(name, announcement);
  }

  async #dropOldestOf(owner: string, except: string): Promise<void> {
    const own = (await this.#idle()).filter((idle) => idle.owner === owner && idle.name !== except);
    const oldest = own.sort((a, b) => a.touched - b.touched)[0];
    if (oldest !== undefined) await this.#remove(oldest.name);
  }

  /** Uploads that nothing arrives for at the moment. */
  async #idle(): Promise<{ readonly name: string; readonly owner: string; readonly touched: number }[]> {
    const idle: { name: string; owner: string; touched: number }[] = [];
    for (const name of await readdir(this.#directory).catch(thrown('read', this.#directory))) {
      const parts = PARTIAL.exec(name)?.groups;
      if (parts === undefined) continue;
      const upload = await this.#open.get(name)?.catch(() => undefined);
      if (upload?.isActive === true) continue;
      const touched = upload?.touched ?? (await stat(join(this.#directory, name)).catch(() => undefined))?.mtimeMs;
      if (touched !== undefined) idle.push({ name, owner: parts['owner'] ?? '', touched });
    }
    return idle;
  }

  async #remove(name: string): Promise<void> {
    this.#open.delete(name);
    const path = join(this.#directory, name);
    await rm(path, { force: true }).catch(thrown('write', path));
    this.#budget.withdraw(name);
  }
}

function partialName({ hash, byteLength }: BlobReference, owner: string | undefined): string {
  return `${hash}-${byteLength}${owner === undefined ? '' : `-${tagOf(owner)}`}.part`;
}

/** An owner's name may hold anything; its hash is a part of a file name. */
function tagOf(owner: string): string {
  return createHash('sha256').update(owner).digest('hex').slice(0, 16);
}

function thrown(action: 'read' | 'write', path: string): (error: unknown) => never {
  return (error) => {
    throw fileError(action, path, error);
  };
}

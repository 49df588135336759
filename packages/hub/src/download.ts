import { retry } from '@zk0/core';
import { gathered, type PartialFile } from '@zk0/storage';
import { contentPath, type Repository } from './api.ts';
import { HubError } from './errors.ts';
import type { HubHttp, HubReply } from './http.ts';
import type { HubFile } from './repository-files.ts';
import type { RetrySettings } from './retry-settings.ts';

/** An attempt that brought this much has got somewhere: the next failure is the first again. */
const PROGRESS_BYTES = 1 << 18;
/** One repetition from the start covers bytes damaged on the way; the second mismatch is no accident. */
const MAX_MISMATCHES = 1;

/** Hooks of a download. */
export interface ReceiveHooks {
  readonly signal?: AbortSignal | undefined;
  /** Bytes that are there. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Receives a file from where the partial file stands to its end, over as many connections as it takes, and verifies it.
 *
 * @throws HubError, StorageError, CancelledError; what arrived stays in the partial file, unless it was wrong.
 */
export async function receiveFile(
  http: HubHttp,
  source: { readonly repository: Repository; readonly commit: string; readonly file: HubFile },
  partial: PartialFile,
  settings: RetrySettings,
  hooks: ReceiveHooks,
): Promise<void> {
  const { file, repository } = source;
  for (let mismatches = 0; ; mismatches++) {
    let before = partial.offset;
    hooks.onBytes(before);
    try {
      await retry(`the download of ${repository.name}/${file.path}`, hooks.signal, () => receive(http, source, partial, hooks), {
        ...settings.policy(),
        progressed: () => {
          const hasMoved = partial.offset - before >= PROGRESS_BYTES;
          before = partial.offset;
          return hasMoved;
        },
      });
      if ((await partial.syncedDigest()) === file.etag) return;
      throw mismatch(file, 'its bytes have another hash than the repository lists');
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'HUB_CONTENT') throw error;
      await partial.restart();
      if (mismatches >= MAX_MISMATCHES) throw error;
    }
  }
}

/** One connection: from the partial file's offset to the end. */
async function receive(
  http: HubHttp,
  { repository, commit, file }: { readonly repository: Repository; readonly commit: string; readonly file: HubFile },
  partial: PartialFile,
  { signal, onBytes }: ReceiveHooks,
): Promise<void> {
  if (partial.offset === file.size) return;
  const reply = await http.get(contentPath(repository, commit, file.path), {
    about: `${repository.type} ${repository.name}@${commit.slice(0, 12)}, ${file.path}`,
    signal,
    headers: partial.offset === 0 ? {} : { range: `bytes=${partial.offset}-` },
  });
  try {
    // A server that knows no ranges begins from the start, and so does the file.
    if (reply.status === 200 && partial.offset > 0) await partial.restart();
    assertSizes(reply, file, partial.offset);
    const handle = await partial.openHandle();
    try {
      for await (const piece of gathered(reply.chunks(), file.size - partial.offset)) {
        if (partial.offset + piece.byteLength > file.size) throw mismatch(file, `more than the ${file.size} bytes that the repository lists arrive`);
        await partial.put(handle, piece);
        onBytes(partial.offset);
      }
    } finally {
      await handle.close();
    }
  } finally {
    reply.discard();
  }
  if (partial.offset < file.size) {
    throw new HubError('HUB_UNREACHABLE', `${file.path}: the connection ended after ${partial.offset} of ${file.size} bytes`, {
      hint: 'Check the network; the download goes on where it stopped.',
    });
  }
}

/** Fails before a byte is written when the answer is not the range that was asked for, of the size that is listed. */
function assertSizes(reply: HubReply, file: HubFile, offset: number): void {
  if (reply.status === 206) {
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(reply.header('content-range') ?? '') ?? [];
    if (Number(first) !== offset || (total !== '*' && Number(total) !== file.size)) {
      throw mismatch(file, `another range than asked for arrives (${reply.header('content-range') ?? 'none'})`);
    }
  } else if (reply.status !== 200) {
    throw new HubError('HUB_PROTOCOL', `${file.path}: the hub answered with status ${reply.status}`, { hint: 'Check HF_ENDPOINT.' });
  }
  const length = reply.header('content-length');
  if (length !== undefined && Number(length) !== file.size - offset) {
    throw mismatch(file, `${Number(length) + offset} bytes arrive where the repository lists ${file.size}`);
  }
}

function mismatch(file: HubFile, what: string): HubError {
  return new HubError('HUB_CONTENT', `${file.path}: ${what}`, {
    hint: 'Try again; if it stays so, the repository or something between you and the hub is damaged.',
  });
}


import { retry } from '@zk0/core';
import * as z from 'zod';
import type { Repository } from '../api.ts';
import { HubError } from '../errors.ts';
import type { HubHttp } from '../http.ts';
import type { RetrySettings } from '../retry-settings.ts';
import { readRange, type LocalFile } from './local-file.ts';

const LFS = 'application/vnd.git-lfs+json';
/** More parts than that no store takes. */
const MAX_PARTS = 10_000;

const actionSchema = z.object({ href: z.string().max(10_000), header: z.record(z.string(), z.coerce.string()).optional() });
const batchSchema = z.looseObject({
  objects: z
    .array(
      z.object({
        oid: z.string(),
        error: z.object({ message: z.string().max(1000) }).optional(),
        actions: z.object({ upload: actionSchema, verify: actionSchema.optional() }).optional(),
      }),
    )
    .length(1),
});
type Action = z.infer<typeof actionSchema>;

/** What an upload works with. */
export interface UploadLargeOptions {
  readonly http: HubHttp;
  readonly retries: RetrySettings;
  readonly signal: AbortSignal | undefined;
  /** Told how many bytes of the file have been sent. */
  readonly onBytes: (done: number) => void;
}

/**
 * Brings a file to where the hub keeps large ones (Git LFS: `basic` or in parts), unless it is there already, and has the hub verify it.
 * Each part is tried again by itself; nothing of this is in the repository before a commit names it.
 *
 * @returns bytes that were sent.
 * @throws HubError, CancelledError, StorageError
 */
export async function uploadLarge(repository: Repository, file: LocalFile, branch: string, options: UploadLargeOptions): Promise<number> {
  const { http, retries, signal } = options;
  const about = `${file.path} of ${repository.name}`;
  const post = (what: string, path: string, value: unknown): Promise<unknown> =>
    retry(
      `${what} (${file.path})`,
      signal,
      async () => {
        const reply = await http.post(path, value, { about, signal, headers: { accept: LFS } }, LFS);
        if (what === 'asking where to upload') return reply.json();
        reply.discard();
        return undefined;
      },
      retries.policy(),
    );
  const prefix = repository.type === 'dataset' ? 'datasets/' : '';
  const object = { oid: file.sha256, size: file.size };
  const parsed = batchSchema.safeParse(
    await post('asking where to upload', `/${prefix}${repository.name}.git/info/lfs/objects/batch`, {
      operation: 'upload', transfers: ['basic', 'multipart'], objects: [object], hash_algo: 'sha256', ref: { name: branch },
    }),
  );
  const answer = parsed.data?.objects[0];
  if (answer?.oid !== file.sha256) throw protocol(about);
  if (answer.error !== undefined) throw new HubError('HUB_REFUSED', `${about}: the hub does not take it (${answer.error.message})`);
  if (answer.actions === undefined) return 0;
  const { upload, verify } = answer.actions;
  if (upload.header?.['chunk_size'] === undefined) await put(file, upload.href, 0, file.size, about, options);
  else await post('joining the parts of', upload.href, { oid: file.sha256, parts: await putParts(file, upload, about, options) });
  if (verify !== undefined) await post('verifying', verify.href, object);
  return file.size;
}

/** Sends a file in parts, to the addresses that stand under their numbers. */
async function putParts(file: LocalFile, { header = {} }: Action, about: string, options: UploadLargeOptions): Promise<{ partNumber: number; etag: string }[]> {
  const chunk = Number(header['chunk_size']);
  const count = Math.ceil(file.size / chunk);
  if (!Number.isSafeInteger(chunk) || chunk < 1 || count > MAX_PARTS) throw protocol(about);
  const parts: { partNumber: number; etag: string }[] = [];
  for (let partNumber = 1; partNumber <= count; partNumber++) {
    const href = Object.entries(header).find(([name]) => /^\d+$/.test(name) && Number(name) === partNumber)?.[1];
    if (href === undefined) throw protocol(about);
    const from = (partNumber - 1) * chunk;
    const etag = await put(file, href, from, Math.min(file.size, from + chunk), about, options);
    if (etag === undefined) throw protocol(about);
    parts.push({ partNumber, etag });
  }
  return parts;
}

function put(file: LocalFile, href: string, from: number, to: number, about: string, { http, retries, signal, onBytes }: UploadLargeOptions): Promise<string | undefined> {
  return retry(
    `uploading ${file.path}`,
    signal,
    async () => {
      let done = from;
      const body = async function* (): AsyncGenerator<Uint8Array> {
        for await (const piece of readRange(file, from, to)) {
          yield piece;
          done += piece.byteLength;
          onBytes(done);
        }
      };
      const reply = await http.upload('PUT', href, { about, signal, contentType: 'application/octet-stream', body, byteLength: to - from });
      reply.discard();
      return reply.header('etag');
    },
    retries.policy(),
  );
}

function protocol(about: string): HubError {
  return new HubError('HUB_PROTOCOL', `${about}: the hub does not say where to upload it`, { hint: 'Check HF_ENDPOINT.' });
}

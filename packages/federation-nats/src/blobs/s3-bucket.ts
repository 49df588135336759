import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { fileError, StorageError } from '@zk0/storage';
import type { BlobReference } from '@zk0/core';
import { BackendError } from '../errors.ts';
import type { S3Address } from './s3-address.ts';
import { isMissing, isRefused, s3Error, status } from './s3-error.ts';

/** What is larger than one part is sent in several; at most 10 000 of them make an object: 156 GiB. */
const PART_BYTES = 16 * 2 ** 20;
/** Parts that are sent at the same time. */
const PARALLEL_PARTS = 2;
const CONNECT_MS = 5000;
/** How long the server may say nothing in the middle of a request, in ms. */
const SILENCE_MS = 30_000;
/** Multipart uploads that nobody has finished for so long are given up, in ms. */
const ABANDONED_MS = 24 * 3600_000;

/** An object of the bucket. */
export interface StoredObject {
  readonly hash: string;
  readonly bytes: number;
  /** When it was stored or touched, by the server's clock: compared with itself alone. */
  readonly stored: number;
}

/** A bucket that holds blobs under their hashes. */
export class S3Bucket {
  readonly #client: S3Client;
  readonly #address: S3Address;

  constructor(address: S3Address) {
    this.#address = address;
    const { endpoint, region, pathStyle } = address;
    this.#client = new S3Client({
      ...(endpoint !== undefined && { endpoint }),
      // Servers other than Amazon's mostly have none, and take any; an environment that names one decides.
      region: region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
      forcePathStyle: pathStyle,
      maxAttempts: 4,
      // Sums are given by name below. Those that the library adds by itself, older servers do not know.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
    });
  }

  get text(): string {
    return this.#address.text;
  }

  /** @throws BackendError `BACKEND_REFUSED`, `BACKEND_UNSUITABLE`; StorageError `STORE_UNREACHABLE` */
  async check(): Promise<void> {
    const { bucket, text } = this.#address;
    try {
      await this.#client.send(new HeadBucketCommand({ Bucket: bucket }));
    } catch (cause) {
      if (isRefused(cause)) {
        throw new BackendError('BACKEND_REFUSED', `${text}: the S3 server refuses this server (${(cause as Error).name})`, {
          cause,
          hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) to what may read, write, list and delete there.',
        });
      }
      if (status(cause) === 404) throw new BackendError('BACKEND_UNSUITABLE', `${text}: there is no bucket ${bucket}`, { cause, hint: 'Make it first: it is never made by itself.' });
      throw s3Error(text, cause);
    }
  }

  /** Bytes of a blob; `null` when the bucket does not have it. */
  async size(hash: string): Promise<number | null> {
    try {
      const { ContentLength } = await this.#client.send(new HeadObjectCommand(this.#object(hash)));
      return ContentLength ?? 0;
    } catch (error) {
      if (isMissing(error)) return null;
      throw s3Error(this.text, error);
    }
  }

  /**
   * The bytes of a blob from `start` to `end` (exclusive; not empty).
   *
   * @throws StorageError `BLOB_NOT_FOUND`, `STORE_UNREACHABLE`, also in the middle
   */
  async read(hash: string, start: number, end: number, signal: AbortSignal): Promise<AsyncGenerator<Uint8Array>> {
    const { text } = this;
    try {
      const { Body } = await this.#client.send(new GetObjectCommand({ ...this.#object(hash), Range: `bytes=${start}-${end - 1}` }), { abortSignal: signal });
      return chunksOf(Body as AsyncIterable<Uint8Array>, text);
    } catch (error) {
      if (isMissing(error)) throw new StorageError('BLOB_NOT_FOUND', `no blob ${hash} in ${text}`, { cause: error });
      throw s3Error(text, error);
    }
  }

  /** Stores a file as a blob; what is large in parts, each with a sum that the server checks. Nothing is there before all of it is. */
  async putFile(path: string, { hash, byteLength }: BlobReference): Promise<void> {
    const file = await open(path, 'r').catch((error: unknown) => {
      throw fileError('read', path, error);
    });
    try {
      if (byteLength > PART_BYTES) await this.#putParts(file, hash, byteLength);
      else {
        const bytes = await readPart(file, path, 0, byteLength);
        await this.#client.send(new PutObjectCommand({ ...this.#object(hash), Body: bytes, ContentLength: byteLength, ChecksumSHA256: Buffer.from(hash, 'hex').toString('base64') }));
      }
    } catch (error) {
      throw s3Error(this.text, error);
    } finally {
      await file.close();
    }
  }

  /** Its age starts anew. @returns false when it is not there any more */
  async touch(hash: string): Promise<boolean> {
    const { Bucket, Key } = this.#object(hash);
    try {
      await this.#client.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/${Key}`, MetadataDirective: 'REPLACE', Metadata: { touched: String(Date.now()) } }));
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw s3Error(this.text, error);
    }
  }

  /** Every blob in the bucket. */
  async *list(): AsyncGenerator<StoredObject> {
    const { bucket, prefix } = this.#address;
    try {
      for await (const { Contents } of paginateListObjectsV2({ client: this.#client }, { Bucket: bucket, Prefix: `${prefix}sha256/` })) {
        for (const { Key, Size, LastModified } of Contents ?? []) {
          const hash = Key?.slice(`${prefix}sha256/`.length) ?? '';
          if (/^[0-9a-f]{64}$/.test(hash)) yield { hash, bytes: Size ?? 0, stored: LastModified?.getTime() ?? 0 };
        }
      }
    } catch (error) {
      throw s3Error(this.text, error);
    }
  }

  async remove(hash: string): Promise<void> {
    try {
      await this.#client.send(new DeleteObjectCommand(this.#object(hash)));
    } catch (error) {
      if (!isMissing(error)) throw s3Error(this.text, error);
    }
  }

  /** Keeps what was found damaged under another name, for whoever wants to know what happened to it. */
  async setAside(hash: string): Promise<void> {
    const { Bucket, Key } = this.#object(hash);
    try {
      await this.#client.send(new CopyObjectCommand({ Bucket, Key: `${this.#address.prefix}damaged/${hash}`, CopySource: `${Bucket}/${Key}` }));
    } catch (error) {
      if (!isMissing(error)) throw s3Error(this.text, error);
    }
    await this.remove(hash);
  }

  /** Gives up multipart uploads that a crash left, which would be paid for and never seen. */
  async dropAbandoned(): Promise<void> {
    const { bucket, prefix } = this.#address;
    try {
      const { Uploads } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }));
      for (const { Key, UploadId, Initiated } of Uploads ?? []) {
        if ((Initiated?.getTime() ?? Infinity) < Date.now() - ABANDONED_MS) await this.#client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
      }
    } catch (error) {
      throw s3Error(this.text, error);
    }
  }

  close(): void {
    this.#client.destroy();
  }

  async #putParts(file: FileHandle, hash: string, byteLength: number): Promise<void> {
    const object = this.#object(hash);
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand({ ...object, ChecksumAlgorithm: 'SHA256' }));
    try {
      const parts: CompletedPart[] = [];
      const count = Math.ceil(byteLength / PART_BYTES);
      const send = async (first: number): Promise<void> => {
        for (let part = first; part < count; part += PARALLEL_PARTS) {
          const bytes = await readPart(file, hash, part * PART_BYTES, Math.min((part + 1) * PART_BYTES, byteLength));
          const ChecksumSHA256 = createHash('sha256').update(bytes).digest('base64');
          const { ETag } = await this.#client.send(new UploadPartCommand({ ...object, UploadId, PartNumber: part + 1, Body: bytes, ContentLength: bytes.byteLength, ChecksumSHA256 }));
          parts[part] = { PartNumber: part + 1, ETag, ChecksumSHA256 };
        }
      };
      await settled(Array.from({ length: PARALLEL_PARTS }, (_, first) => send(first)));
      await this.#client.send(new CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload: { Parts: parts } }));
    } catch (error) {
      await this.#client.send(new AbortMultipartUploadCommand({ ...object, UploadId })).catch(() => undefined);
      throw error;
    }
  }

  #object(hash: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#address.bucket, Key: `${this.#address.prefix}sha256/${hash}` };
  }
}

/** Waits for all, whatever becomes of each, and then throws the first error. */
async function settled(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function readPart(file: FileHandle, path: string, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.byteLength; ) {
    const { bytesRead } = await file.read(bytes, at, bytes.byteLength - at, start + at).catch((error: unknown) => {
      throw fileError('read', path, error);
    });
    if (bytesRead === 0) throw fileError('read', path, new Error(`the file ends before byte ${end}`));
    at += bytesRead;
  }
  return bytes;
}

async function* chunksOf(body: AsyncIterable<Uint8Array>, text: string): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw s3Error(text, error);
  }
}

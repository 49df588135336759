import { createHash } from 'node:crypto';
import type { RepositoryType } from '../api.ts';
import type { TestRequest } from '../testing.ts';
import { json, refuse, type Answer } from './answers.ts';

/** What the endpoints work on. */
export interface UploadEndpointsOptions {
  readonly writeToken?: string;
  readonly chunkBytes?: number;
  readonly cdn: () => string;
  readonly hub: () => string;
  readonly files: (type: RepositoryType, name: string) => Readonly<Record<string, Uint8Array>> | undefined;
  readonly serve: (type: RepositoryType, name: string, files: Readonly<Record<string, Uint8Array>>) => string;
}

const LARGE = /\.(?:parquet|mp4|safetensors|bin|arrow)$/;
type Values = Readonly<Record<string, unknown>>;

/** The endpoints of the hub that uploads use: creation, preupload, Git LFS with verification, commits, tags. */
export class UploadEndpoints {
  readonly tags = new Map<string, string>();
  readonly #options: UploadEndpointsOptions;
  /** Large content by SHA-256, and parts of what is on its way. */
  readonly #objects = new Map<string, Uint8Array>();
  readonly #parts = new Map<string, Map<number, Uint8Array>>();
  readonly #verified = new Set<string>();

  constructor(options: UploadEndpointsOptions) {
    this.#options = options;
  }

  /** A PUT to where large files are kept: whole, or a part. */
  store({ url, headers }: TestRequest, body: Uint8Array): Answer {
    if (headers['authorization'] !== undefined) return refuse(400, 'TokenLeaked');
    const [, oid = '', part] = /^\/upload\/([0-9a-f]{64})(?:\/(\d+))?\?/.exec(url) ?? [];
    const etag = createHash('md5').update(body).digest('hex');
    if (part === undefined) this.#objects.set(oid, body);
    else this.#parts.set(oid, new Map(this.#parts.get(oid)).set(Number(part), body));
    return { status: 200, headers: { etag: `"${etag}"` } };
  }

  post(request: TestRequest, body: Buffer): Answer {
    const path = decodeURIComponent(new URL(request.url, 'http://hub').pathname);
    // huggingface_hub has the metadata of cards looked over first.
    if (path === '/api/validate-yaml') return json({ errors: [], warnings: [] });
    const joined = /^\/complete\/([0-9a-f]{64})$/.exec(path)?.[1];
    if (joined !== undefined) return this.#join(joined, JSON.parse(body.toString()) as { readonly parts: readonly { readonly partNumber: number; readonly etag: string }[] });
    const { writeToken } = this.#options;
    if (writeToken === undefined || request.headers['authorization'] !== `Bearer ${writeToken}`) return refuse(401, 'Unauthorized');
    const value = path.includes('/commit/') ? {} : (JSON.parse(body.toString()) as Values);
    if (path === '/api/repos/create') return this.#create(value);
    if (path.startsWith('/verify')) return this.#verify(value);
    const batch = /^\/(?:datasets\/)?([^/]+\/[^/]+)\.git\/info\/lfs\/objects\/batch$/.exec(path)?.[1];
    if (batch !== undefined) return this.#batch(value);
    const [, type = '', name = '', what, revision = ''] = /^\/api\/(model|dataset)s\/([^/]+\/[^/]+)\/(preupload|commit|tag)\/(.+)$/.exec(path) ?? [];
    const files = this.#options.files(type as RepositoryType, name);
    if (files === undefined) return refuse(404, 'RepoNotFound');
    if (what === 'preupload') return preupload(value);
    if (what === 'commit') return this.#commit(type as RepositoryType, name, files, body.toString());
    const key = `${name} ${String(value['tag'])}`;
    if (this.tags.has(key)) return refuse(409, 'Conflict');
    this.tags.set(key, revision);
    return json({});
  }

  #create({ organization, name, type = 'model' }: Values): Answer {
    const full = `${String(organization)}/${String(name)}`;
    if (this.#options.files(type as RepositoryType, full) !== undefined) return refuse(409, 'Conflict');
    this.#options.serve(type as RepositoryType, full, { '.gitattributes': Buffer.from('*.safetensors filter=lfs diff=lfs merge=lfs -text\n') });
    return json({ url: `${this.#options.hub()}/${full}` });
  }

  #batch(value: Values): Answer {
    const { chunkBytes } = this.#options;
    const objects = (value['objects'] as readonly { readonly oid: string; readonly size: number }[]).map(({ oid, size }) => {
      if (this.#verified.has(oid)) return { oid, size };
      const verify = { href: `${this.#options.hub()}/verify?signature=secret` };
      const href = `${this.#options.cdn()}/upload/${oid}`;
      if (chunkBytes === undefined) return { oid, size, actions: { upload: { href: `${href}?signature=secret` }, verify } };
      const parts = Array.from({ length: Math.ceil(size / chunkBytes) }, (_, index) => [String(index + 1).padStart(5, '0'), `${href}/${index + 1}?signature=secret`]);
      const header = { chunk_size: String(chunkBytes), ...Object.fromEntries(parts) as Readonly<Record<string, string>> };
      return { oid, size, actions: { upload: { href: `${this.#options.hub()}/complete/${oid}`, header }, verify } };
    });
    return json({ transfer: chunkBytes === undefined ? 'basic' : 'multipart', objects });
  }

  #join(oid: string, { parts }: { readonly parts: readonly { readonly partNumber: number; readonly etag: string }[] }): Answer {
    const stored = this.#parts.get(oid) ?? new Map<number, Uint8Array>();
    const isComplete = parts.every(({ partNumber, etag }) => etag === `"${createHash('md5').update(stored.get(partNumber) ?? '').digest('hex')}"`);
    if (!isComplete) return refuse(400, 'InvalidPart');
    this.#objects.set(oid, Buffer.concat(parts.map(({ partNumber }) => stored.get(partNumber)!)));
    return json({});
  }

  #verify({ oid, size }: Values): Answer {
    const object = this.#objects.get(String(oid));
    const isRight = object?.byteLength === size && createHash('sha256').update(object ?? '').digest('hex') === oid;
    if (!isRight) return refuse(400, 'VerificationFailed');
    this.#verified.add(oid);
    return json({});
  }

  #commit(type: RepositoryType, name: string, files: Readonly<Record<string, Uint8Array>>, body: string): Answer {
    const next: Record<string, Uint8Array> = { ...files };
    for (const line of body.trim().split('\n')) {
      const { key, value } = JSON.parse(line) as { readonly key: string; readonly value: Readonly<Record<string, string>> };
      const path = value['path'] ?? '';
      if (key === 'file') next[path] = Buffer.from(value['content'] ?? '', 'base64');
      if (key !== 'lfsFile') continue;
      if (!this.#verified.has(value['oid'] ?? '')) return refuse(400, 'LfsNotUploaded');
      next[path] = this.#objects.get(value['oid']!)!;
    }
    const commitOid = this.#options.serve(type, name, next);
    return json({ success: true, commitOid, commitUrl: `${this.#options.hub()}/${name}/commit/${commitOid}` });
  }
}

function preupload({ files }: Values): Answer {
  const asked = files as readonly { readonly path: string }[];
  return json({ files: asked.map(({ path }) => ({ path, uploadMode: LARGE.test(path) ? 'lfs' : 'regular', shouldIgnore: false })) });
}

/**
 * @module
 * A small hub for tests: it speaks the endpoints of huggingface.co that downloads use, from folders on disk, and fails when
 * told to.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, sep } from 'node:path';
import type { RepositoryType } from './api.ts';
import { json, refuse, type Answer } from './testing/answers.ts';
import { UploadEndpoints } from './testing/upload-endpoints.ts';

/** A repository that a test hub serves. */
export interface TestRepository {
  readonly type: RepositoryType;
  /** `owner/name`. */
  readonly name: string;
  /** Files by path; large ones are those whose names say so, as on the hub (`.gitattributes`). */
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Commit of `main`; made from the content where absent. */
  readonly commit?: string;
  /** The token that may read it; everybody where absent. */
  readonly token?: string;
  /** Entries added to every listing as they are, for hostile ones. */
  readonly extraEntries?: readonly unknown[];
}

/** A request that came in. */
export interface TestRequest {
  /** `hub`, or `cdn`: the other host, where the content of large files is. */
  readonly host: 'hub' | 'cdn';
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** What goes wrong with an answer. */
export type TestFault =
  /** An answer of its own. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** The connection breaks after so many bytes of the body. */
  | { readonly cutAfter: number }
  /** Nothing more is sent after so many bytes of the body. */
  | { readonly stallAfter: number }
  /** A byte now and then, without end, after so many bytes of the body. */
  | { readonly trickleAfter: number }
  /** The bytes are others than listed, of the same number. */
  | { readonly corrupt: true }
  /** Other bytes altogether. */
  | { readonly content: Uint8Array }
  /** Ranges are not known. */
  | { readonly ignoreRange: true }
  /** The connection breaks after so many bytes of what is sent to it. */
  | { readonly cutBodyAfter: number }
  /** The request has its effect, and the connection breaks in place of the answer. */
  | { readonly loseAnswer: true };

/** A running test hub. */
export interface TestHub {
  /** What `HF_ENDPOINT` would be. */
  readonly endpoint: string;
  /** Every request so far; a test may empty it. */
  readonly requests: TestRequest[];
  /** Asked for every request; undefined lets it pass. */
  fault: (request: TestRequest) => TestFault | undefined;
  /** Adds or replaces a repository; says its commit. */
  serve(repository: TestRepository): string;
  /** Tags by repository and name, e.g. `owner/name v1`, with their commits. */
  readonly tags: ReadonlyMap<string, string>;
  /** Files of a repository as they are now. */
  files(type: RepositoryType, name: string): Readonly<Record<string, Uint8Array>> | undefined;
  close(): Promise<void>;
}

const LARGE = /\.(?:parquet|mp4|safetensors|bin|arrow)$/;

interface StoredFile {
  readonly path: string;
  readonly content: Uint8Array;
  readonly sha1: string;
  readonly sha256: string;
  readonly isLarge: boolean;
}

interface StoredRepository extends TestRepository {
  readonly commit: string;
  readonly stored: ReadonlyMap<string, StoredFile>;
}

/** The files of a folder, for {@link TestRepository}. */
export function readTree(directory: string): Record<string, Uint8Array> {
  const files: Record<string, Uint8Array> = {};
  for (const entry of readdirSync(directory, { recursive: true }).map(String).sort()) {
    const path = join(directory, entry);
    if (statSync(path).isFile()) files[entry.replaceAll(sep, '/')] = readFileSync(path);
  }
  return files;
}

/** Between the last byte and the cut, in ms: a peer on a busy machine that reads both at once may drop the bytes with the connection. */
const CUT_AFTER_MS = 20;

/** Starts a test hub on two free ports of this machine. */
export async function startTestHub({
  pageSize = 1000,
  writeToken,
  chunkBytes,
}: {
  readonly pageSize?: number;
  /** The token that may create and write; nobody may where absent. */
  readonly writeToken?: string;
  /** Large files are uploaded in parts of so many bytes; at once where absent. */
  readonly chunkBytes?: number;
} = {}): Promise<TestHub> {
  const repositories = new Map<string, StoredRepository>();
  const requests: TestRequest[] = [];
  const hub: { fault: TestHub['fault'] } = { fault: () => undefined };

  const listen = async (host: TestRequest['host'], answer: (request: TestRequest, fault: TestFault | undefined, body: Buffer) => Answer): Promise<Server> => {
    const server = createServer((incoming: IncomingMessage, response) => {
      const { method = '', url = '', headers } = incoming;
      const request: TestRequest = { host, method, url, headers: { ...headers } as Record<string, string> };
      requests.push(request);
      const fault = hub.fault(request);
      void receive(incoming, fault).then((body) => {
        if (body === null) return;
        const reply = fault !== undefined && 'status' in fault ? fault : answer(request, fault, body);
        if (fault !== undefined && 'loseAnswer' in fault) incoming.destroy();
        else send(request, response, reply, fault);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  };

  const serve = (repository: TestRepository): string => {
    const stored = new Map(Object.entries(repository.files).map(([path, bytes]) => [path, store(path, bytes)]));
    const commit = repository.commit ?? createHash('sha1').update([...stored.values()].map(({ path, sha1 }) => path + sha1).join()).digest('hex');
    repositories.set(`${repository.type} ${repository.name}`, { ...repository, commit, stored });
    return commit;
  };
  const uploads = new UploadEndpoints({
    ...(writeToken !== undefined && { writeToken }),
    ...(chunkBytes !== undefined && { chunkBytes }),
    cdn: () => origin(cdnServer),
    hub: () => origin(hubServer),
    files: (type, name) => repositories.get(`${type} ${name}`)?.files,
    serve: (type, name, files) => serve({ type, name, files }),
  });
  const cdnServer = await listen('cdn', (request, fault, body) => {
    if (request.method === 'PUT') return uploads.store(request, body);
    const sha256 = /^\/content\/([0-9a-f]{64})\?/.exec(request.url)?.[1];
    const found = [...repositories.values()].flatMap(({ stored }) => [...stored.values()]).find((file) => file.sha256 === sha256);
    return found === undefined ? refuse(403, 'AccessDenied') : content(request, found, fault);
  });
  const hubServer = await listen('hub', (request, fault, body) => {
    if (request.method === 'POST') return uploads.post(request, body);
    const url = new URL(request.url, 'http://hub');
    const path = decodeURIComponent(url.pathname);
    if (path === '/api/models') return json([]);
    const isAllowed = ({ token }: TestRepository): boolean => token === undefined || request.headers['authorization'] === `Bearer ${token}`;
    if (path === '/api/whoami-v2') {
      const isKnown = (writeToken !== undefined && request.headers['authorization'] === `Bearer ${writeToken}`) || [...repositories.values()].some((one) => one.token !== undefined && isAllowed(one));
      return isKnown ? json({ type: 'user', name: 'tester' }) : refuse(401, 'Unauthorized');
    }
    const [, api, apiName = '', what = 'resolve', rest = ''] = /^\/api\/(model|dataset)s\/([^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(path) ?? [];
    const [, prefix, name = apiName, file = rest] = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/(.+)$/.exec(path) ?? [];
    const repository = repositories.get(`${api ?? (prefix === undefined ? 'model' : 'dataset')} ${name}`);
    if (repository === undefined || !isAllowed(repository)) return refuse(401, 'RepoNotFound');
    const [revision = '', ...parts] = file.split('/');
    if (what === 'revision' && uploads.tags.has(`${name} ${revision}`)) return json({ id: repository.name, sha: uploads.tags.get(`${name} ${revision}`) });
    if (![repository.commit, 'main'].includes(revision)) return refuse(404, 'RevisionNotFound');
    if (what === 'revision') return json({ id: repository.name, sha: repository.commit });
    if (what === 'tree') return treePage(repository, parts.join('/'), url, request.headers['host'] ?? '', pageSize);
    return resolve(repository, parts.join('/'), origin(cdnServer), request, fault);
  });

  return Object.assign(hub, {
    endpoint: origin(hubServer),
    requests,
    tags: uploads.tags,
    files: (type: RepositoryType, name: string) => repositories.get(`${type} ${name}`)?.files,
    serve,
    close: async (): Promise<void> => {
      for (const server of [hubServer, cdnServer]) {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }
    },
  });
}

function store(path: string, bytes: Uint8Array): StoredFile {
  return {
    path,
    content: bytes,
    sha1: createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex'),
    sha256: createHash('sha256').update(bytes).digest('hex'),
    isLarge: LARGE.test(path),
  };
}

/** Entries of a folder as the tree endpoint gives them; null where there is no such folder. */
function listTree({ stored, extraEntries = [] }: StoredRepository, folder: string, recursive: boolean): unknown[] | null {
  const prefix = folder === '' ? '' : `${folder}/`;
  const directories = new Set<string>();
  const entries: unknown[] = [];
  for (const { path, content: bytes, sha1, sha256, isLarge } of stored.values()) {
    if (!path.startsWith(prefix)) continue;
    const parts = path.slice(prefix.length).split('/');
    for (let depth = 1; depth < parts.length && (recursive || depth === 1); depth++) directories.add(prefix + parts.slice(0, depth).join('/'));
    if (!recursive && parts.length > 1) continue;
    const size = bytes.byteLength;
    // Of a large file the repository itself has a pointer; the listing gives the content's size, and its hash beside it.
    entries.push({ type: 'file', path, size, oid: sha1, ...(isLarge ? { lfs: { oid: sha256, size, pointerSize: 132 } } : {}) });
  }
  if (entries.length === 0 && directories.size === 0) return null;
  return [...[...directories].map((path) => ({ type: 'directory', path, size: 0, oid: '0'.repeat(40) })), ...entries, ...extraEntries];
}

function treePage(repository: StoredRepository, folder: string, url: URL, host: string, pageSize: number): Answer {
  const entries = listTree(repository, folder, url.searchParams.get('recursive') === 'true');
  if (entries === null) return refuse(404, 'EntryNotFound');
  const from = Number(url.searchParams.get('cursor') ?? 0);
  const page = json(entries.slice(from, from + pageSize));
  if (from + pageSize >= entries.length) return page;
  const next = new URL(url);
  next.host = host;
  next.searchParams.set('cursor', String(from + pageSize));
  return { ...page, headers: { ...page.headers, link: `<${next.href}>; rel="next"` } };
}

function resolve(repository: StoredRepository, path: string, cdnOrigin: string, request: TestRequest, fault: TestFault | undefined): Answer {
  const file = repository.stored.get(path);
  if (file === undefined) return refuse(404, 'EntryNotFound');
  const commit = { 'x-repo-commit': repository.commit };
  if (!file.isLarge) {
    const answer = content(request, file, fault);
    return { ...answer, headers: { ...answer.headers, ...commit } };
  }
  const linked = { 'x-linked-etag': `"${file.sha256}"`, 'x-linked-size': String(file.content.byteLength), etag: `"${file.sha1}"` };
  return { status: 302, headers: { ...commit, ...linked, location: `${cdnOrigin}/content/${file.sha256}?signature=secret` } };
}

function content(request: TestRequest, file: StoredFile, fault: TestFault | undefined): Answer {
  let bytes = file.content;
  if (fault !== undefined && 'content' in fault) bytes = fault.content;
  if (fault !== undefined && 'corrupt' in fault) bytes = bytes.map((byte) => byte ^ 1);
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers['range'] ?? '')?.[1] ?? -1);
  const isRange = from >= 0 && !(fault !== undefined && 'ignoreRange' in fault);
  const headers = { etag: `"${file.isLarge ? file.sha256 : file.sha1}"`, 'accept-ranges': 'bytes' };
  if (!isRange) return { status: 200, headers, body: bytes };
  if (from >= bytes.byteLength) return { status: 416, headers: { ...headers, 'content-range': `bytes */${bytes.byteLength}` } };
  const range = { 'content-range': `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}` };
  return { status: 206, headers: { ...headers, ...range }, body: bytes.subarray(from) };
}

function send(request: TestRequest, response: ServerResponse, { status, headers, body = '' }: Answer, fault: TestFault | undefined): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'content-length': bytes.byteLength, ...headers });
  if (request.method === 'HEAD') response.end();
  else if (fault !== undefined && 'cutAfter' in fault) response.write(bytes.subarray(0, fault.cutAfter), () => setTimeout(() => response.destroy(), CUT_AFTER_MS));
  else if (fault !== undefined && 'stallAfter' in fault) response.write(bytes.subarray(0, fault.stallAfter));
  else if (fault !== undefined && 'trickleAfter' in fault) trickle(response, bytes, fault.trickleAfter);
  else response.end(bytes);
}

/** What a request carries; null where the connection breaks before its end. */
async function receive(incoming: IncomingMessage, fault: TestFault | undefined): Promise<Buffer | null> {
  const most = fault !== undefined && 'cutBodyAfter' in fault ? fault.cutBodyAfter : Infinity;
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of incoming as AsyncIterable<Buffer>) {
      parts.push(part);
      size += part.byteLength;
      if (size <= most) continue;
      incoming.destroy();
      return null;
    }
  } catch {
    return null;
  }
  return Buffer.concat(parts);
}

/** A byte every few milliseconds, for as long as somebody listens. */
function trickle(response: ServerResponse, bytes: Uint8Array, from: number): void {
  response.write(bytes.subarray(0, from));
  const timer = setInterval(() => response.write(bytes.subarray(from, ++from)), 5);
  response.on('close', () => {
    clearInterval(timer);
  });
}

function origin(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

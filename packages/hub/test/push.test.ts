import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PushProgress, PushedRepository } from '../src/index.ts';
import type { TestFault, TestHub, TestRequest } from '../src/testing.ts';
import { client, noise, scratch, testHub } from './scratch.ts';

const TOKEN = 'hf_write';
const REPOSITORY = { type: 'model', name: 'owner/policy' } as const;
const WEIGHTS = noise(300_000);

/** A folder as a checkpoint is. */
function checkpoint(weights = WEIGHTS): { path: string; content: string }[] {
  const folder = scratch();
  mkdirSync(join(folder, 'deep'));
  const files: Readonly<Record<string, Uint8Array>> = { 'README.md': Buffer.from('# card\n'), 'model.safetensors': weights, 'deep/empty.bin': Buffer.alloc(0) };
  return Object.entries(files).map(([path, bytes]) => {
    writeFileSync(join(folder, path), bytes);
    return { path, content: join(folder, path) };
  });
}

async function push(server: TestHub, options: { readonly files?: ReturnType<typeof checkpoint>; readonly token?: string; readonly offline?: boolean; readonly tag?: string; readonly onProgress?: (progress: PushProgress) => void } = {}): Promise<PushedRepository> {
  const { files = checkpoint(), token = TOKEN, offline = false, ...rest } = options;
  const hub = await client(server, scratch(), { token, offline, maxFailures: 3, noProgressMs: 2000 });
  return hub.push(REPOSITORY, { files, message: 'Round 3', ...rest });
}

const sent = (server: TestHub, pattern: RegExp): TestRequest[] => server.requests.filter(({ method, url }) => pattern.test(`${method} ${url}`));
/** Goes wrong once, with the first request that fits. */
function once(pattern: RegExp, fault: TestFault): TestHub['fault'] {
  let left = 1;
  return ({ method, url }) => (pattern.test(`${method} ${url}`) && left-- > 0 ? fault : undefined);
}

describe('a push', () => {
  it.each([[undefined, 1], [100_000, 3], [300_000, 1]])('creates the repository, uploads in parts of %s, commits, and tags', async (chunkBytes, parts) => {
    const server = await testHub({ writeToken: TOKEN, ...(chunkBytes !== undefined && { chunkBytes }) });
    const progress: PushProgress[] = [];
    const pushed = await push(server, { tag: 'fl-run-1', onProgress: (now) => progress.push(now) });
    expect(pushed).toMatchObject({ url: `${server.endpoint}/owner/policy`, changed: ['README.md', 'model.safetensors', 'deep/empty.bin'], sentBytes: WEIGHTS.byteLength });
    expect(server.tags).toEqual(new Map([['owner/policy fl-run-1', pushed.commit]]));
    const files = server.files('model', 'owner/policy')!;
    expect(Object.keys(files).sort()).toEqual(['.gitattributes', 'README.md', 'deep/empty.bin', 'model.safetensors']);
    expect(Buffer.compare(files['model.safetensors']!, WEIGHTS)).toBe(0);
    expect(sent(server, /^PUT/)).toHaveLength(parts);
    expect(progress.map(({ phase }) => phase)).toEqual(expect.arrayContaining(['hashing', 'uploading', 'committing', 'verifying']));
    expect(progress.filter(({ phase }) => phase === 'uploading').at(-1)).toMatchObject({ done: WEIGHTS.byteLength, total: WEIGHTS.byteLength });
  });

  it('shows the token to the hub alone, and addresses that are signed to nobody', async () => {
    const server = await testHub({ writeToken: TOKEN });
    await push(server);
    for (const { host, headers } of server.requests) expect(headers['authorization']).toBe(host === 'hub' ? `Bearer ${TOKEN}` : undefined);
  });

  it('sends nothing again that the repository has, and commits only what differs', async () => {
    const server = await testHub({ writeToken: TOKEN });
    const files = checkpoint();
    const first = await push(server, { files });
    server.requests.length = 0;
    expect(await push(server, { files })).toMatchObject({ commit: first.commit, changed: [], sentBytes: 0 });
    expect(sent(server, /^PUT|\/commit\//)).toEqual([]);
    const card = { path: 'README.md', content: join(scratch(), 'card') };
    writeFileSync(card.content, '# another\n');
    expect(await push(server, { files: [card, ...files.slice(1)] })).toMatchObject({ changed: ['README.md'], sentBytes: 0 });
  });

  it.each([
    ['the connection breaks in the middle of a part', /^PUT .*\/2\?/, { cutBodyAfter: 30_000 }],
    ['the store is overloaded', /^PUT/, { status: 503 }],
    ['the answer to a part is lost', /^PUT/, { loseAnswer: true }],
    ['the answer to the commit is lost', /\/commit\//, { loseAnswer: true }],
    ['the hub is overloaded at the commit', /\/commit\//, { status: 500 }],
    ['the answer to the verification is lost', /\/verify/, { loseAnswer: true }],
  ] as const)('goes on when %s', async (_, pattern, fault) => {
    const server = await testHub({ writeToken: TOKEN, chunkBytes: 100_000 });
    server.fault = once(pattern, fault);
    await push(server);
    expect(Buffer.compare(server.files('model', 'owner/policy')!['model.safetensors']!, WEIGHTS)).toBe(0);
  });

  it('is resumed by a second one: large files that arrived are not sent again', async () => {
    const server = await testHub({ writeToken: TOKEN });
    const files = checkpoint();
    server.fault = ({ url }) => (url.includes('/commit/') ? { status: 503 } : undefined);
    await expect(push(server, { files })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
    expect(server.files('model', 'owner/policy')!['model.safetensors']).toBeUndefined();
    server.fault = () => undefined;
    server.requests.length = 0;
    expect(await push(server, { files })).toMatchObject({ sentBytes: 0 });
    expect(sent(server, /^PUT/)).toEqual([]);
  });

  it('fails when the hub finds other bytes than were meant', async () => {
    const server = await testHub({ writeToken: TOKEN });
    server.fault = once(/\/verify/, { status: 400 });
    await expect(push(server)).rejects.toMatchObject({ code: 'HUB_REFUSED' });
    expect(server.files('model', 'owner/policy')!['model.safetensors']).toBeUndefined();
  });

  it('fails when the repository has something else in the end', async () => {
    const server = await testHub({ writeToken: TOKEN });
    let committed = false;
    server.fault = ({ url }) => {
      if (url.includes('/commit/')) committed = true;
      return committed && url.includes('/tree/') ? { status: 200, body: '[]' } : undefined;
    };
    await expect(push(server)).rejects.toMatchObject({ code: 'HUB_CONTENT' });
  });

  it('refuses without a token, with one that is not accepted, and offline, and never shows it', async () => {
    const server = await testHub({ writeToken: TOKEN });
    const refused = await push(server, { token: 'hf_other' }).catch((error: unknown) => error as Error & { hint?: string });
    expect(refused).toMatchObject({ code: 'HUB_UNAUTHORIZED', hint: expect.stringContaining('may write to owner/policy') as string });
    expect(JSON.stringify([refused, (refused as Error).message, (refused as Error).stack])).not.toContain('hf_other');
    const hub = await client(server, scratch());
    await expect(hub.push(REPOSITORY, { files: [], message: '' })).rejects.toMatchObject({ code: 'HUB_UNAUTHORIZED' });
    await expect(push(server, { offline: true })).rejects.toMatchObject({ code: 'HUB_OFFLINE' });
    await server.close();
    await expect(push(server)).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' });
  });

  it('leaves a tag that names the commit, and refuses to move one', async () => {
    const server = await testHub({ writeToken: TOKEN });
    const files = checkpoint();
    await push(server, { files, tag: 'v1' });
    await push(server, { files, tag: 'v1' });
    await expect(push(server, { files: checkpoint(noise(1000, 2)), tag: 'v1' })).rejects.toThrow('has a tag v1 already, of another commit');
  });

  it('stops when it is told to', async () => {
    const server = await testHub({ writeToken: TOKEN });
    const stop = new AbortController();
    server.fault = ({ method }) => {
      if (method === 'PUT') stop.abort();
      return undefined;
    };
    const hub = await client(server, scratch(), { token: TOKEN });
    await expect(hub.push(REPOSITORY, { files: checkpoint(), message: '', signal: stop.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

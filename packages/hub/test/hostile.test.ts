import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TestFault, TestRequest } from '../src/testing.ts';
import { client, noise, scratch, testHub } from './scratch.ts';

const REPOSITORY = { type: 'dataset', name: 'owner/name' } as const;
const FILES = { 'a.txt': Buffer.from('text'), 'data/b.mp4': noise(300_000) };
const TOKEN = 'hf_secretsecretsecret';

const isCdn = ({ host }: TestRequest): boolean => host === 'cdn';
const entry = (path: string, over: object = {}): unknown => ({ type: 'file', path, size: 4, oid: 'a'.repeat(40), ...over });

describe('a hub that lies', () => {
  it.each([
    '../x', 'a/../../x', '/etc/passwd', 'a//b', './a', 'a/.', '..', '', 'a\\..\\b', 'C:x', 'a/C:\\x', 'a\0b', 'a\nb', 'x'.repeat(256), `${'y/'.repeat(600)}z`,
  ])('is refused when it lists the file %j', async (path) => {
    const [server, cache] = [await testHub(), scratch()];
    server.serve({ ...REPOSITORY, files: FILES, extraEntries: [entry(path)] });
    const snapshot = await (await client(server, cache)).snapshot(REPOSITORY);
    await expect(snapshot.fetchFolder('', () => true)).rejects.toMatchObject({ code: 'HUB_PROTOCOL' });
    expect(existsSync(snapshot.directory)).toBe(false);
  });

  it.each<[string, unknown]>([
    ['a size below zero', entry('x', { size: -1 })],
    ['a size that is no number', entry('x', { size: '4' })],
    ['a size beyond all', entry('x', { size: 1e300 })],
    ['a hash that is a path', entry('x', { oid: '../../x' })],
    ['a large file’s hash that is none', entry('x', { lfs: { oid: '..', size: 4 } })],
    ['a file twice', entry('a.txt')],
    ['something else', 7],
  ])('is refused when it lists %s', async (_, extra) => {
    const server = await testHub();
    server.serve({ ...REPOSITORY, files: FILES, extraEntries: [extra] });
    const snapshot = await (await client(server, scratch())).snapshot(REPOSITORY);
    await expect(snapshot.fetchFolder('', () => true)).rejects.toMatchObject({ code: 'HUB_PROTOCOL' });
  });

  it('is refused when its list has no end', async () => {
    const server = await testHub();
    server.serve({ ...REPOSITORY, files: FILES });
    const page = (body: unknown, cursor: string): TestFault => ({ status: 200, body: JSON.stringify(body), headers: { link: `<${server.endpoint}/x?cursor=${cursor}>; rel="next"` } });
    const snapshot = await (await client(server, scratch())).snapshot(REPOSITORY);
    let n = 0;
    for (const fault of [() => page([entry(`f${n++}`)], 'same'), () => page([], `c${n++}`)]) {
      server.fault = ({ url }) => (url.includes('/tree/') ? fault() : undefined);
      await expect(snapshot.fetchFolder('', () => true)).rejects.toMatchObject({ code: 'HUB_PROTOCOL' });
    }
  });

  it('is refused when an answer is too long to be one, or no JSON', async () => {
    const server = await testHub();
    server.serve({ ...REPOSITORY, files: FILES });
    const hub = await client(server, scratch());
    for (const body of ['x'.repeat(33 << 20), '<html>log in</html>', '{"sha":"../../x"}', '[]']) {
      server.fault = () => ({ status: 200, body });
      await expect(hub.snapshot(REPOSITORY)).rejects.toMatchObject({ code: 'HUB_PROTOCOL' });
    }
  });

  it('is refused when space is claimed that no disk has', async () => {
    const [server, cache] = [await testHub(), scratch()];
    server.serve({ ...REPOSITORY, files: FILES, extraEntries: [entry('x', { size: 2 ** 52 })] });
    const snapshot = await (await client(server, cache)).snapshot(REPOSITORY);
    await expect(snapshot.fetchFolder('', () => true)).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(existsSync(join(cache, 'datasets--owner--name/blobs'))).toBe(false);
  });

  it.each<[string, TestFault]>([
    ['other bytes', { corrupt: true }],
    ['fewer bytes', { content: FILES['data/b.mp4'].subarray(0, 1000) }],
    ['more bytes', { content: noise(400_000) }],
    ['no end of bytes', { status: 200, body: 'x'.repeat(1_000_000) }],
  ])('does not get %s past the hash, and leaves none of it', async (_, fault) => {
    const [server, cache] = [await testHub(), scratch()];
    server.serve({ ...REPOSITORY, files: FILES });
    server.fault = (request) => (isCdn(request) ? fault : undefined);
    const snapshot = await (await client(server, cache)).snapshot(REPOSITORY);
    await expect(snapshot.fetchFolder('', () => true)).rejects.toMatchObject({ code: 'HUB_CONTENT', message: expect.stringContaining('data/b.mp4') as string });
    expect(server.requests.filter(isCdn)).toHaveLength(2);
    expect(existsSync(join(snapshot.directory, 'data/b.mp4'))).toBe(false);
    expect(readdirSync(join(cache, 'datasets--owner--name/blobs')).filter((name) => name.length !== 40)).toEqual([]);
  });

  it('gets a second chance when bytes were damaged on the way', async () => {
    const server = await testHub();
    server.serve({ ...REPOSITORY, files: FILES });
    let damaged = false;
    server.fault = (request) => (isCdn(request) && !damaged ? ((damaged = true), { corrupt: true }) : undefined);
    const snapshot = await (await client(server, scratch())).snapshot(REPOSITORY);
    await snapshot.fetchFolder('', () => true);
    expect(existsSync(join(snapshot.directory, 'data/b.mp4'))).toBe(true);
  });

  it('cannot lead in circles', async () => {
    const server = await testHub();
    server.serve({ ...REPOSITORY, files: FILES });
    const snapshot = await (await client(server, scratch())).snapshot(REPOSITORY);
    server.fault = ({ url }) => (url.includes('/resolve/') ? { status: 302, headers: { location: url } } : undefined);
    await expect(snapshot.fetchFolder('data', () => true)).rejects.toMatchObject({ code: 'HUB_PROTOCOL' });
    server.fault = ({ url }) => (url.includes('/resolve/') ? { status: 302, headers: { location: 'file:///etc/passwd' } } : undefined);
    await expect(snapshot.fetchFolder('data', () => true)).rejects.toMatchObject({ code: 'HUB_PROTOCOL' });
  });
});

describe('the token', () => {
  it('is sent to the hub, never to another host, and is in no error', async () => {
    const server = await testHub();
    server.serve({ ...REPOSITORY, files: FILES, token: TOKEN });
    const hub = await client(server, scratch(), { token: TOKEN });
    const snapshot = await hub.snapshot(REPOSITORY);
    await snapshot.fetchFolder('', () => true);
    const sent = (host: string): unknown[] => [...new Set(server.requests.filter((request) => request.host === host).map(({ headers }) => headers['authorization']))];
    expect(sent('hub')).toEqual([`Bearer ${TOKEN}`]);
    expect(sent('cdn')).toEqual([undefined]);
    expect(await hub.check()).toContain('tester');
    for (const status of [401, 403, 404, 400, 416]) {
      server.fault = () => ({ status });
      const error: unknown = await hub.snapshot(REPOSITORY).catch((thrown: unknown) => thrown);
      expect(JSON.stringify([error, String(error), (error as { hint?: string }).hint])).not.toContain(TOKEN);
    }
  });

  it.each<[string, TestFault, string, RegExp]>([
    ['a wrong token', { status: 401 }, 'HUB_UNAUTHORIZED', /HF_TOKEN/],
    ['a gated repository', { status: 403, headers: { 'x-error-code': 'GatedRepo' } }, 'HUB_FORBIDDEN', /Ask for access/],
    ['a token that may not', { status: 403 }, 'HUB_FORBIDDEN', /token/],
    ['no such repository', { status: 404, headers: { 'x-error-code': 'RepoNotFound' } }, 'HUB_NOT_FOUND', /owner, name/],
    ['no such revision', { status: 404, headers: { 'x-error-code': 'RevisionNotFound' } }, 'HUB_NOT_FOUND', /revision/],
    ['a bad request', { status: 400 }, 'HUB_REFUSED', /HF_ENDPOINT/],
  ])('%s is final, and the hint says what to do', async (_, fault, code, hint) => {
    const server = await testHub();
    server.fault = () => fault;
    const hub = await client(server, scratch(), { token: TOKEN });
    await expect(hub.snapshot(REPOSITORY)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`dataset ${REPOSITORY.name}@main`) as string,
      hint: expect.stringMatching(hint) as string,
    });
    expect(server.requests).toHaveLength(1);
  });

  it('is asked for where a repository is not public', async () => {
    const server = await testHub();
    server.serve({ ...REPOSITORY, files: FILES, token: TOKEN });
    const hub = await client(server, scratch());
    await expect(hub.snapshot(REPOSITORY)).rejects.toMatchObject({ code: 'HUB_UNAUTHORIZED', hint: expect.stringContaining('set HF_TOKEN') as string });
  });
});

import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject, OperatorPage, OperatorPrincipal, PageFile, PageMessage } from '@zk0/core';
import { Zk0Error } from '@zk0/core';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { PageSessions, SESSION_MS } from '../src/server/page-sessions.ts';
import { ask, Scope, until, type Answer } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const file = (text: string, contentType: string, immutable = false): PageFile => ({ bytes: Buffer.from(text), gzip: gzipSync(text), contentType, immutable });

/** A page of a few words. */
class TestPage implements OperatorPage {
  readonly acts: [OperatorPrincipal, string, JsonObject][] = [];
  readonly lastIds: (string | undefined)[] = [];
  open = 0;

  files(): Promise<ReadonlyMap<string, PageFile>> {
    return Promise.resolve(new Map([['/', file('<!doctype html>', 'text/html')], ['/page/files/app-1.js', file('export {}', 'text/javascript', true)]]));
  }

  async *stream(lastId: string | undefined, signal: AbortSignal): AsyncGenerator<PageMessage> {
    this.lastIds.push(lastId);
    this.open++;
    try {
      yield { id: 'e.1', event: 'snapshot', data: '{}' };
      if (!signal.aborted) await new Promise((resolve) => { signal.addEventListener('abort', resolve, { once: true }); });
    } finally {
      this.open--;
    }
  }

  read(what: string, parameters: Readonly<Record<string, string>>): Promise<JsonObject> {
    if (what !== 'run') throw new Zk0Error('RUN_UNKNOWN', 'no such thing');
    return Promise.resolve({ what, parameters: { ...parameters } });
  }

  clip(run: string, checkpoint: string, file: string): Promise<string | null> {
    this.clips.push([run, checkpoint, file]);
    return Promise.resolve(file === 'clip.mp4' ? this.clipPath : file === 'folder' ? tmpdir() : null);
  }

  readonly clips: string[][] = [];
  clipPath: string | null = null;

  act(operator: OperatorPrincipal, action: string, input: JsonObject): Promise<JsonObject> {
    this.acts.push([operator, action, input]);
    return Promise.resolve({ done: true });
  }
}

const TOKEN = 'the operators know it';
const json = (answer: Answer): { error?: { code: string; message: string }; [name: string]: unknown } => JSON.parse(answer.body.toString()) as never;

/** A browser, as far as headers go: it says where a request comes from, and keeps one cookie. */
class FakeBrowser {
  readonly #url: string;
  readonly host: string;
  cookie: string | undefined;

  constructor(url: string) {
    this.#url = url;
    this.host = new URL(url).host;
  }

  get headers(): Record<string, string> {
    return { host: this.host, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', ...(this.cookie !== undefined && { cookie: this.cookie }) };
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return ask(this.#url, { path, headers: { ...this.headers, ...headers } });
  }

  /** Follows a link, or types the address. */
  visit(path: string, site = 'none'): Promise<Answer> {
    return this.get(path, { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' });
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}, method = 'POST'): Promise<Answer> {
    const bytes = Buffer.from(JSON.stringify(body));
    const own = { ...this.headers, origin: `http://${this.host}`, 'content-type': 'application/json', 'content-length': String(bytes.length) };
    return ask(this.#url, { method, path, headers: { ...own, ...headers }, body: bytes });
  }

  async logIn(token = TOKEN): Promise<Answer> {
    const answer = await this.post('/page/session', { token });
    this.cookie = answer.headers['set-cookie']?.[0]?.split(';')[0] ?? this.cookie;
    return answer;
  }

  /** Opens the event stream; resolves with its first text. */
  follow(headers: Record<string, string> = {}): Promise<{ readonly status: number; readonly text: () => string; readonly ended: Promise<void>; close(): void }> {
    const { hostname, port } = new URL(this.#url);
    return new Promise((resolve, reject) => {
      const request = httpRequest({ hostname, port, path: '/page/events', headers: { ...this.headers, ...headers }, agent: false }, (reply) => {
        let text = '';
        const ended = new Promise<void>((end) => { reply.on('close', () => { end(); }); });
        reply.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
          if (text.includes('event: snapshot')) resolve({ status: reply.statusCode!, text: () => text, ended, close: () => { request.destroy(); } });
        });
        reply.on('end', () => { resolve({ status: reply.statusCode!, text: () => text, ended, close: () => { request.destroy(); } }); });
        reply.on('error', () => undefined);
      });
      request.on('error', reject);
      request.end();
    });
  }
}

async function serve(options: Parameters<Scope['server']>[0] = {}): Promise<{ page: TestPage; browser: FakeBrowser; url: string }> {
  const page = new TestPage();
  const { server } = await scope.server({ page, ...options });
  return { page, browser: new FakeBrowser(server.url), url: server.url };
}

describe('the page of an open server on this machine', () => {
  it('is a document that may run nothing but its own files', async () => {
    const { browser } = await serve();
    const answer = await browser.visit('/');
    expect([answer.status, answer.body.toString(), answer.headers['content-type']]).toEqual([200, '<!doctype html>', 'text/html']);
    const policy = String(answer.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).toContain("require-trusted-types-for 'script'");
    expect(policy).not.toMatch(/unsafe|\*|https?:|data:/);
    expect(answer.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer', 'cross-origin-resource-policy': 'same-origin', 'cache-control': 'no-cache' });
  });

  it('has files that are compressed, kept, and asked for again by their tag', async () => {
    const { browser } = await serve();
    const packed = await browser.get('/page/files/app-1.js', { 'accept-encoding': 'gzip, br' });
    expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip', 'cache-control': 'public, max-age=31536000, immutable' });
    expect((await browser.get('/page/files/app-1.js?x=1')).body.toString()).toBe('export {}');
    const tag = String(packed.headers['etag']);
    expect((await browser.get('/page/files/app-1.js', { 'if-none-match': tag })).status).toBe(304);
    for (const path of ['/page/files/other.js', '/page/files/../session', '/page/files/%2e%2e/%2e%2e/etc/passwd', '/page/files/__proto__']) {
      expect([path, (await browser.get(path)).status]).toEqual([path, path.includes('..') ? expect.any(Number) : 404]);
    }
  });

  it('has clips, whole and in ranges, and nothing else by their address', async () => {
    const { page, browser } = await serve();
    const folder = mkdtempSync(join(tmpdir(), 'zk0-clip-'));
    scope.defer(() => rm(folder, { recursive: true }));
    page.clipPath = join(folder, 'clip.mp4');
    writeFileSync(page.clipPath, '0123456789');
    const whole = await browser.get('/page/clips/run-1/checkpoint_round_4/clip.mp4');
    expect([whole.status, whole.body.toString(), whole.headers['content-type'], whole.headers['content-length']]).toEqual([200, '0123456789', 'video/mp4', '10']);
    expect(String(whole.headers['content-security-policy'])).toContain("media-src 'self'");
    const part = await browser.get('/page/clips/run-1/checkpoint_round_4/clip.mp4', { range: 'bytes=4-6' });
    expect([part.status, part.body.toString(), part.headers['content-range']]).toEqual([206, '456', 'bytes 4-6/10']);
    expect((await browser.get('/page/clips/run-1/checkpoint_round_4/clip.mp4', { range: 'bytes=99-' })).status).toBe(416);
    for (const name of ['other.mp4', 'folder', '..%2f..%2fetc%2fpasswd']) expect([name, (await browser.get(`/page/clips/run-1/checkpoint_round_4/${name}`)).status]).toEqual([name, 404]);
    expect(page.clips.at(-1)).toEqual(['run-1', 'checkpoint_round_4', '../../etc/passwd']);
    const locked = await serve({ operatorToken: TOKEN });
    locked.page.clipPath = page.clipPath;
    expect((await locked.browser.get('/page/clips/run-1/checkpoint_round_4/clip.mp4')).status).toBe(401);
    expect(locked.page.clips).toEqual([]);
    await locked.browser.logIn();
    expect((await locked.browser.get('/page/clips/run-1/checkpoint_round_4/clip.mp4')).body.toString()).toBe('0123456789');
  });

  it('reads, acts and follows without a login', async () => {
    const { page, browser } = await serve();
    expect(json(await browser.get('/page/session'))).toEqual({ needsToken: false, operator: true });
    expect(json(await browser.get('/page/read/run?run=r&run=twice&other=1'))).toEqual({ what: 'run', parameters: { other: '1' } });
    expect(json(await browser.post('/page/act/stop', { run: 'r' }))).toEqual({ done: true });
    expect(page.acts).toEqual([[{ role: 'operator', name: 'an operator on the page' }, 'stop', { run: 'r' }]]);
    const stream = await browser.follow({ 'last-event-id': 'e.7' });
    expect(stream.text()).toContain('id: e.1\nevent: snapshot\ndata: {}\n\n');
    expect(page.lastIds).toEqual(['e.7']);
    stream.close();
    await until(() => page.open === 0, 'the stream has ended');
  });

  it('says why it refuses', async () => {
    const { browser } = await serve();
    expect((await browser.get('/page/read/none')).status).toBe(409);
    expect((await browser.post('/page/act/stop', 'text', { 'content-type': 'text/plain' })).status).toBe(400);
    expect((await browser.post('/page/act/stop', [1])).status).toBe(400);
    expect((await browser.post('/page/act/stop', { much: 'x'.repeat(70_000) })).status).toBe(413);
  });

  it('answers no other page, and nothing in its name', async () => {
    const { page, browser } = await serve();
    const foreign: Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'none' }, { origin: 'http://evil.example' }, { origin: 'null' },
      { origin: 'http://127.0.0.1:1' }, { origin: `https://${browser.host}.evil.example` },
    ];
    for (const headers of foreign) {
      for (const path of ['/page/session', '/page/read/run', '/page/events']) {
        expect([headers, path, json(await browser.get(path, headers)).error?.code]).toEqual([headers, path, 'BROWSER_REFUSED']);
      }
      expect([headers, json(await browser.post('/page/act/stop', {}, headers)).error?.code]).toEqual([headers, 'BROWSER_REFUSED']);
      expect(json(await browser.post('/page/session', { token: TOKEN }, headers)).error?.code).toBe('BROWSER_REFUSED');
    }
    // A change without the browser's word on where it comes from.
    const silent = { ...browser.headers, 'content-type': 'application/json', 'content-length': '2' };
    expect(json(await ask(`http://${browser.host}`, { method: 'POST', path: '/page/act/stop', headers: silent, body: Buffer.from('{}') })).error?.code).toBe('BROWSER_REFUSED');
    expect(page.acts).toEqual([]);
  });

  it('may be linked to from anywhere: the document only', async () => {
    const { browser } = await serve();
    expect((await browser.visit('/', 'cross-site')).status).toBe(200);
    expect((await browser.visit('/page/read/run', 'cross-site')).status).toBe(403);
    // As an image, a frame or a script of another page it is not a visit.
    expect((await browser.get('/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' })).status).toBe(403);
    expect((await browser.get('/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' })).status).toBe(403);
  });

  it('answers under names of this machine only, however a name resolves', async () => {
    const { browser, page } = await serve();
    const rebound = { host: 'evil.example', origin: 'http://evil.example' };
    for (const path of ['/', '/page/session', '/page/read/run', '/page/events']) expect([path, (await browser.get(path, { host: 'evil.example' })).status]).toEqual([path, 421]);
    expect((await browser.post('/page/act/stop', {}, rebound)).status).toBe(421);
    expect(page.acts).toEqual([]);
    expect((await browser.get('/', { host: `localhost:${new URL(`http://${browser.host}`).port}` })).status).toBe(200);
    expect(json(await browser.get('/', { 'x-forwarded-for': '10.0.0.1' })).error?.code).toBe('INSECURE');
  });

  it('leaves every other route closed to web pages, and is not there unless it is given', async () => {
    const { browser } = await serve();
    for (const path of ['/admin/status', '/admin/events', '/messages', `/blobs/${'0'.repeat(64)}`, '/page', '/page/nothing', '/elsewhere']) {
      expect([path, json(await browser.get(path)).error?.code]).toEqual([path, 'BROWSER_REFUSED']);
    }
    const { server } = await scope.server();
    const without = new FakeBrowser(server.url);
    expect(json(await without.visit('/')).error?.code).toBe('BROWSER_REFUSED');
  });
});

describe('the page of a server that anybody reaches and that asks nobody', () => {
  it('answers under addresses only: a name can be made to resolve to it', async () => {
    const { browser } = await serve({ host: '0.0.0.0', allowInsecure: true });
    expect((await browser.visit('/')).status).toBe(200);
    expect((await browser.get('/', { host: '[::1]:80' })).status).toBe(200);
    const answer = await browser.get('/page/read/run', { host: 'server.example' });
    expect([answer.status, json(answer).error?.code]).toEqual([421, 'HOST_REFUSED']);
  });
});

describe('the page of a server with a token for operators', () => {
  const closed = { operatorToken: TOKEN } as const;

  it('shows the document to everybody, and data to nobody before they have logged in', async () => {
    const { browser, page } = await serve(closed);
    expect((await browser.visit('/')).status).toBe(200);
    expect(json(await browser.get('/page/session'))).toEqual({ needsToken: true, operator: false });
    for (const path of ['/page/read/run', '/page/events']) expect([path, (await browser.get(path)).status]).toEqual([path, 401]);
    expect((await browser.post('/page/act/stop', {})).status).toBe(401);
    // The token itself is for programs, and not for this door.
    expect((await browser.get('/page/read/run', { authorization: `Bearer ${TOKEN}` })).status).toBe(401);
    expect([page.acts, page.lastIds]).toEqual([[], []]);
  });

  it('lets an operator in with the token, for a cookie that no script and no other site has', async () => {
    const { browser, page, url } = await serve(closed);
    const answer = await browser.logIn();
    expect(answer.status).toBe(200);
    expect(answer.headers['set-cookie']).toEqual([expect.stringMatching(new RegExp(`^zk0-session-${new URL(url).port}=[\\w.-]+; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict$`))]);
    expect(browser.cookie).not.toContain(TOKEN);
    expect(json(await browser.get('/page/session'))).toEqual({ needsToken: true, operator: true });
    expect((await browser.get('/page/read/run')).status).toBe(200);
    expect((await browser.post('/page/act/stop', { run: 'r' })).status).toBe(200);
    expect(page.acts).toHaveLength(1);
  });

  it('marks the cookie as secure where the browser came by TLS, at this server or at a proxy', async () => {
    const { browser } = await serve(closed);
    const answer = await browser.post('/page/session', { token: TOKEN }, { origin: `https://${browser.host}` });
    expect(answer.headers['set-cookie']).toEqual([expect.stringMatching(/^__Host-zk0-session=[\w.-]+; Path=\/; .*; Secure$/)]);
    browser.cookie = answer.headers['set-cookie']![0]!.split(';')[0];
    expect((await browser.get('/page/read/run')).status).toBe(200);
  });

  it('refuses wrong tokens, slowly and only a few at a time', async () => {
    const { browser } = await serve(closed);
    const started = performance.now();
    const answers = await Promise.all(Array.from({ length: 12 }, () => browser.logIn('a guess')));
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(8).fill(401), ...Array<number>(4).fill(503)]);
    expect(answers.flatMap(({ headers }) => headers['set-cookie'] ?? [])).toEqual([]);
    expect((await browser.post('/page/session', { token: '' })).status).toBe(400);
  });

  it('takes no cookie but its own', async () => {
    const { browser } = await serve(closed);
    await browser.logIn();
    const [name, value] = browser.cookie!.split('=') as [string, string];
    const [expiry, id, signature] = value.split('.') as [string, string, string];
    const forged = [`${Number(expiry) + 1}.${id}.${signature}`, `${expiry}.${id}.${signature.slice(1)}A`, `${expiry}.${'A'.repeat(24)}.${signature}`, '', '..', 'x'.repeat(5000), new PageSessions('another token', Date.now).create()];
    for (const other of forged) expect([other, (await browser.get('/page/read/run', { cookie: `${name}=${other}` })).status]).toEqual([other, 401]);
    expect((await browser.get('/page/read/run', { cookie: `other=1; ${name}=old; ${name}=${value}` })).status).toBe(200);
  });

  it('ends with a logout at once, in every tab', async () => {
    const { browser, page } = await serve(closed);
    await browser.logIn();
    const stream = await browser.follow();
    expect(stream.status).toBe(200);
    const answer = await browser.post('/page/session', {}, {}, 'DELETE');
    expect(answer.headers['set-cookie']).toEqual([expect.stringMatching(/=; Path=\/; Max-Age=0;/)]);
    await stream.ended;
    await until(() => page.open === 0, 'the stream has ended');
    expect((await browser.get('/page/read/run')).status).toBe(401);
  });

  it('is good after the server was started again, and not with another token', async () => {
    const { browser } = await serve(closed);
    await browser.logIn();
    const [, value] = browser.cookie!.split('=');
    for (const [operatorToken, status] of [[TOKEN, 200], ['a new token', 401]] as const) {
      const { browser: later, url } = await serve({ operatorToken });
      later.cookie = `zk0-session-${new URL(url).port}=${value!}`;
      expect((await later.get('/page/read/run')).status).toBe(status);
    }
  });

  it('lasts half a day', async () => {
    let now = 1_000_000;
    const { browser } = await serve({ ...closed, now: () => now });
    await browser.logIn();
    now += SESSION_MS - 1;
    expect((await browser.get('/page/read/run')).status).toBe(200);
    now += 2;
    expect((await browser.get('/page/read/run')).status).toBe(401);
    // Nor is one good that is from the future.
    now -= 2 * SESSION_MS;
    expect((await browser.get('/page/read/run')).status).toBe(401);
  });

  it('has room for so many open pages', async () => {
    const { browser, page } = await serve({ ...closed, limits: { maxFollowers: 1 } });
    await browser.logIn();
    const first = await browser.follow();
    const second = await browser.follow();
    expect([first.status, second.status]).toEqual([200, 503]);
    first.close();
    await until(() => page.open === 0, 'the first has ended');
  });
});

describe('sessions', () => {
  it('that are ended in great number make everybody log in again', () => {
    let now = 1000;
    const sessions = new PageSessions(TOKEN, () => now);
    const kept = sessions.create();
    now++;
    for (let count = 0; count < 1001; count++) {
      const text = sessions.create();
      sessions.end(sessions.find(text)!);
      expect(sessions.find(text)).toBeUndefined();
    }
    expect(sessions.find(kept)).toBeUndefined();
    expect(sessions.find(sessions.create())).toBeDefined();
  });
});

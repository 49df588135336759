import { mkdtempSync, rmSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@zk0/logger';
import { afterEach, describe, expect, it } from 'vitest';
import { startServer, type RunningServer, type ServerOptions } from '../../src/server-process.ts';

const folders: string[] = [];
const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function serve(more: Partial<ServerOptions> = {}): Promise<RunningServer> {
  const folder = mkdtempSync(join(tmpdir(), 'zk0-served-'));
  folders.push(folder);
  const log = createLogger({ process: 'server' });
  const server = await startServer({
    host: '127.0.0.1', port: 0, stateDirectory: join(folder, '.server'), runDirectory: (runId) => join(folder, runId), openRunLog: () => createLogger({ process: 'server' }),
    logDirectory: join(folder, '.server'), cacheDirectory: folder, device: 'cpu', log, ...more,
  });
  servers.push(server);
  return server;
}

/** The first text of an answer, as this server's own page gets it. */
function ask(server: RunningServer, path: string, headers: Record<string, string> = {}, body?: string): Promise<{ status: number; text: string; cookie: string | undefined }> {
  const { hostname, port, host, origin } = new URL(server.url);
  const own = { host, 'sec-fetch-site': 'same-origin', ...(body !== undefined && { origin, 'content-type': 'application/json' }) };
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path, method: body === undefined ? 'GET' : 'POST', headers: { ...own, ...headers }, agent: false }, (reply) => {
      let text = '';
      const done = (): void => {
        resolve({ status: reply.statusCode!, text, cookie: reply.headers['set-cookie']?.[0]?.split(';')[0] });
        asked.destroy();
      };
      reply.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (/event: snapshot\n.*\n\n/.test(text)) done();
      });
      reply.on('end', done);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

describe('a server', () => {
  it('has its page at /, with its log and whoever is there', async () => {
    const server = await serve();
    expect((await ask(server, '/')).text).toContain('<script type="module" src="/page/files/main-');
    const { text } = await ask(server, '/page/events');
    expect(text).toContain('listening on http://127.0.0.1:');
    expect(text).toMatch(/"version":"\d+\.\d+\.\d+"/);
  });

  it('shows enrolled nodes to operators who log in with the token of its state folder', async () => {
    const server = await serve({ enrolment: true });
    expect((await ask(server, '/page/events')).status).toBe(401);
    const token = readFileSync(server.operatorTokenFile!, 'utf8').trim();
    const { cookie } = await ask(server, '/page/session', {}, JSON.stringify({ token }));
    const { status, text } = await ask(server, '/page/events', { cookie: cookie! });
    expect([status, /"nodes":\[\]/.test(text)]).toEqual([200, true]);
    const answer = await ask(server, '/page/act/revoke', { cookie: cookie! }, JSON.stringify({ node: 'nobody' }));
    expect([answer.status, answer.text]).toEqual([409, expect.stringContaining('NODE_UNKNOWN')]);
  });
});

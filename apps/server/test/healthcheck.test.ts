import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killStartedPrograms, startProgram, temporaryDirectory } from './cli.ts';

const home = temporaryDirectory();
afterEach(killStartedPrograms);
afterAll(home.remove);

const script = fileURLToPath(new URL('../../../deploy/healthcheck.mjs', import.meta.url));

function isHealthy(port: string): boolean {
  try {
    execFileSync(process.execPath, [script], { env: { PATH: process.env['PATH'], ZK0_PORT: port }, stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

it.each(['plain', 'TLS'])('the health check of the image asks a server over %s, and misses one that is gone', { timeout: 120_000 }, async (how) => {
  const [cert, key] = [join(home.path, 'cert.pem'), join(home.path, 'key.pem')];
  if (how === 'TLS') {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=zk0.example', '-days', '1', '-keyout', key, '-out', cert], { stdio: 'pipe' });
  }
  const flags = how === 'TLS' ? ['--host', '0.0.0.0', '--tls-cert', cert, '--tls-key', key] : [];
  const server = startProgram('server', ['start', '--port', '0', '--out', join(home.path, how), '--device', 'cpu', ...flags], home.path);
  const port = new URL((await server.until(/zk0-server is at (http\S+)/))[1]!).port;
  expect(isHealthy(port)).toBe(true);
  server.child.kill('SIGKILL');
  await server.exited;
  expect(isHealthy(port)).toBe(false);
});

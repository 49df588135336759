import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Whether a program is installed here. */
export function isInstalled(program: 'nginx' | 'caddy'): boolean {
  return spawnSync(program, [program === 'nginx' ? '-v' : 'version'], { stdio: 'ignore' }).error === undefined;
}

/** A proxy that listens. */
export interface RunningProxy {
  readonly url: string;
  close(): Promise<void>;
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const fixture = (name: string): string => here(`../fixtures/${name}`);

/** A configuration of this folder, as it stands in the documentation. */
export async function configuration(name: 'nginx.conf' | 'nginx-defaults.conf' | 'Caddyfile'): Promise<string> {
  return readFile(here(name), 'utf8');
}

/** Runs the real nginx with one site; names, ports and certificates of the text are replaced by those of the test. */
export async function startNginx(site: string, target: string, options: { readonly tls: boolean }): Promise<RunningProxy> {
  const directory = await mkdtemp(join(tmpdir(), 'zk0-nginx-'));
  const port = await freePort();
  const text = replaced(site, [
    ['listen 443 ssl;', `listen 127.0.0.1:${port}${options.tls ? ' ssl' : ''};`],
    ['127.0.0.1:8080', new URL(target).host],
    ['/etc/ssl/federation.example.org/fullchain.pem', fixture('server.crt')],
    ['/etc/ssl/federation.example.org/privkey.pem', fixture('server.key')],
  ]);
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(directory, name)};`);
  const asRoot = process.getuid?.() === 0 ? 'user root;' : '';
  const configuration = `${asRoot} worker_processes 1; pid ${join(directory, 'pid')}; error_log ${join(directory, 'error.log')};
events { worker_connections 1024; }
http { access_log off; ${places.join(' ')}
${text} }`;
  const file = join(directory, 'nginx.conf');
  await writeFile(file, configuration);
  const errors = join(directory, 'error.log');
  return running(spawn('nginx', ['-p', directory, '-e', errors, '-c', file, '-g', 'daemon off;'], { stdio: ['ignore', 'ignore', 'pipe'] }), {
    directory,
    port,
    scheme: options.tls ? 'https' : 'http',
  });
}

/** Runs the real Caddy with one site. */
export async function startCaddy(site: string, target: string, options: { readonly tls: boolean }): Promise<RunningProxy> {
  const directory = await mkdtemp(join(tmpdir(), 'zk0-caddy-'));
  await mkdir(join(directory, 'home'));
  const port = await freePort();
  const address = options.tls ? `https://127.0.0.1:${port}` : `http://127.0.0.1:${port}`;
  const tls = options.tls ? `\n\ttls ${fixture('server.crt')} ${fixture('server.key')}` : '';
  const text = replaced(site, [
    ['federation.example.org {', `${address} {${tls}`],
    ['127.0.0.1:8080', new URL(target).host],
  ]);
  const file = join(directory, 'Caddyfile');
  await writeFile(file, `{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n${text}`);
  const env = { PATH: process.env['PATH'], HOME: join(directory, 'home'), XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
  return running(spawn('caddy', ['run', '--adapter', 'caddyfile', '--config', file], { stdio: ['ignore', 'ignore', 'pipe'], env }), {
    directory,
    port,
    scheme: options.tls ? 'https' : 'http',
  });
}

/** Every text must be there: a configuration that changed and a test that did not would otherwise test nothing. */
function replaced(text: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((result, [from, to]) => {
    if (!result.includes(from)) {
      if (from.startsWith('/etc/ssl')) return result;
      throw new Error(`the configuration has no ${from}`);
    }
    return result.replaceAll(from, to);
  }, text);
}

async function running(
  child: ChildProcess,
  { directory, port, scheme }: { readonly directory: string; readonly port: number; readonly scheme: string },
): Promise<RunningProxy> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { said += text; });
  const exited = once(child, 'exit');
  for (let attempt = 0; !(await answers(port)); attempt++) {
    if (child.exitCode !== null || attempt > 200) throw new Error(`the proxy does not listen: ${said.slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    close: async () => {
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), 2000);
      await exited;
      clearTimeout(hard);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => { resolve(false); });
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

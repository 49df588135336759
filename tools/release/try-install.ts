/**
 * `node tools/release/try-install.ts`: installs what would be published on a machine that has nothing, and says what came of it. Packages
 * must be staged. A registry on loopback serves this repository's tarballs; what they depend on comes from npm's. HOME is empty, and no
 * install script is denied: whoever installs for real has set nothing either.
 *
 * @throws Error when a program does not start, more than 350 MB were installed, or a package runs an install script that is not known
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { serveTarballs } from './loopback-registry.ts';
import { readJson } from './files.ts';
import { publishedProjects, ROOT, STAGE } from './stage.ts';

const MAX_MB = 350;
/** Looks for a compiled part that its optional packages bring; without one it goes on in JavaScript. Downloads nothing. */
const KNOWN_SCRIPTS = ['msgpackr-extract'];

const work = mkdtempSync(path.join(tmpdir(), 'zk0-try-install-'));
const folder = (name: string): string => {
  const made = path.join(work, name);
  mkdirSync(made);
  return made;
};
const tarballs = folder('tarballs');
const generated = folder('generated');
const bin = folder('bin');
const home = folder('home');
const prefix = folder('prefix');
const empty = folder('empty');
// The Node of this process, the system's npm, and nothing else of the repository.
symlinkSync(process.execPath, path.join(bin, 'node'));
const outside = (process.env['PATH'] ?? '').split(path.delimiter).filter((entry) => !entry.startsWith(ROOT));
const env = { HOME: home, PATH: [bin, ...outside].join(path.delimiter), TMPDIR: tmpdir(), ...certificates() };

const registry = await (async () => {
  execFileSync(process.execPath, [path.join(import.meta.dirname, 'stage-generated.ts'), generated, `${process.platform}-${process.arch}`], { stdio: 'pipe' });
  const staged = [...publishedProjects().map((directory) => path.join(ROOT, directory, STAGE)), ...readdirSync(generated).map((name) => path.join(generated, name))];
  execFileSync('npm', ['pack', '--silent', '--pack-destination', tarballs, ...staged], { cwd: work, env, stdio: 'pipe' });
  return serveTarballs(tarballs);
})();

try {
  const started = performance.now();
  // The one package outside the scope comes as a file: a registry on loopback for all of npm would have to pass everything on.
  await npm('install', '--global', '--prefix', prefix, path.join(tarballs, readdirSync(tarballs).find((file) => /^zk0-\d/.test(file))!));
  const seconds = (performance.now() - started) / 1000;
  const megabytes = sizeOf(prefix) / 1e6;
  console.log(`npm install -g zk0: ${seconds.toFixed(0)} s, ${megabytes.toFixed(0)} MB`);
  for (const program of ['zk0-server', 'zk0-client']) console.log(`${program} ${run(path.join(prefix, 'bin', program), '--version').trim()}`);
  console.log(run(path.join(prefix, 'bin', 'zk0-client'), 'doctor', '--dataset', 'demo:cube-to-bowl').trimEnd());
  const scripts = installScripts(prefix).filter((name) => !KNOWN_SCRIPTS.includes(name));
  if (scripts.length > 0) throw new Error(`these packages run install scripts: ${scripts.join(', ')}`);
  if (megabytes > MAX_MB) throw new Error(`${megabytes.toFixed(0)} MB are more than ${MAX_MB}`);
  console.log(`npx @zk0/server --version: ${(await npm('exec', '--yes', '@zk0/server', '--', '--version')).trim()}`);
  await npm('install', '@zk0/onnx-train');
  const devices = "console.log((await import('@zk0/onnx-train')).listDevices().map(({ device }) => device).join(', '))";
  console.log(`npm install @zk0/onnx-train: ${(sizeOf(empty) / 1e6).toFixed(0)} MB, devices ${run(process.execPath, '--input-type=module', '-e', devices).trim()}`);
} finally {
  await registry.close();
  rmSync(work, { recursive: true, force: true });
}

/** Runs npm as a user would; this process serves its requests meanwhile. */
async function npm(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('npm', [...args.slice(0, 1), `--@zk0:registry=${registry.url}`, ...args.slice(1)], {
    cwd: empty,
    env,
    maxBuffer: 64 * 2 ** 20,
  });
  return stdout;
}

function run(file: string, ...args: string[]): string {
  return execFileSync(file, args, { cwd: empty, env, encoding: 'utf8', stdio: 'pipe' });
}

function sizeOf(directory: string): number {
  const seen = new Set<number>();
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(path.join(entry.parentPath, entry.name)))
    .filter(({ ino }) => !seen.has(ino) && seen.add(ino))
    .reduce((sum, { blocks, size }) => sum + (process.platform === 'win32' ? size : blocks * 512), 0);
}

/** Packages below a folder that run something when they are installed. */
function installScripts(directory: string): string[] {
  return readdirSync(directory, { recursive: true })
    .map(String)
    .filter((file) => /node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(file))
    .map((file) => readJson(path.join(directory, file)) as { name: string; scripts?: Record<string, string> })
    .filter(({ scripts = {} }) => ['preinstall', 'install', 'postinstall'].some((name) => name in scripts))
    .map(({ name }) => name);
}

/** Where a machine keeps certificates of its own, npm has to know of them; that is no setting of zk0. */
function certificates(): Record<string, string> {
  const file = process.env['NODE_EXTRA_CA_CERTS'] ?? process.env['SSL_CERT_FILE'] ?? '';
  return file === '' ? {} : { NODE_EXTRA_CA_CERTS: file };
}

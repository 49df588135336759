import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {object} LockEntry
 * @property {string} [version]
 * @property {string} [integrity]
 * @property {boolean} [optional]
 * @property {boolean} [devOptional]
 * @property {boolean} [peer]
 * @property {string | string[]} [os]
 * @property {string | string[]} [cpu]
 * @property {string | string[]} [libc]
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
 * @returns {string | undefined}
 */
export function firstDifference(root) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return 'first run';
  const installed = packagesOf(record);
  for (const [path, entry] of Object.entries(lockedPackages(root))) {
    if (!path.includes('node_modules/')) continue;
    const found = installed[path];
    if (found === undefined && mayBeAbsent(entry)) continue;
    if (found?.version !== entry.version || found?.integrity !== entry.integrity) return `${path} has changed`;
  }
  return undefined;
}

/**
 * Optional packages for other platforms are absent; one that names this platform is not: an older npm under an older Node
 * leaves such out without a word.
 *
 * @param {LockEntry} entry
 */
function mayBeAbsent(entry) {
  if (!(entry.optional || entry.devOptional || entry.peer)) return false;
  if (entry.os === undefined && entry.cpu === undefined) return true;
  return !(allows(entry.os, process.platform) && allows(entry.cpu, process.arch) && allows(entry.libc, libc()));
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

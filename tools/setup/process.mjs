import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
/** @type {NodeJS.Signals | undefined} */
let received;

/**
 * Passes signals on to whatever runs, and leaves it to that to end. In a terminal the child has had its Ctrl-C already;
 * our command lines take two at once for one.
 */
export function forwardSignals() {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      received = signal;
      for (const child of children) child.kill(signal);
    });
  }
}

/** The exit code that a received signal asks for, or undefined. */
export function interruption() {
  return received === undefined ? undefined : 128 + constants.signals[received];
}

/**
 * Runs a program to its exit code, with this process's terminal unless `stdio` says otherwise.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @param {(output: string) => void} [keep] takes what the program prints, instead of the terminal
 * @returns {Promise<number>} the exit code; 128 + its number after a signal
 */
export function run(program, args, options, keep) {
  const stopped = interruption();
  if (stopped !== undefined) return Promise.resolve(stopped);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: keep === undefined ? 'inherit' : ['ignore', 'pipe', 'pipe'], ...options });
    children.add(child);
    if (keep !== undefined) for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', keep);
    child.once('error', (error) => {
      children.delete(child);
      reject(error);
    });
    child.once('close', (code, signal) => {
      children.delete(child);
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]);
    });
  });
}

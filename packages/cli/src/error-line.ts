import { inspect } from 'node:util';
import { Zk0Error } from '@zk0/core/errors';
import { printable } from './text-width.ts';

/** What to do about errors of the operating system that reach the user unwrapped. */
const SYSTEM_HINTS: Readonly<Record<string, string>> = {
  EACCES: 'Check the permissions, or choose another path or a port above 1023',
  EADDRINUSE: 'Choose another port with --port, or stop what is listening there',
  EADDRNOTAVAIL: 'Choose an address of this machine with --host',
  ECONNREFUSED: 'Check that the server is running and the address is right',
  EMFILE: 'Raise the limit of open files (ulimit -n)',
  ENOENT: 'Check the path',
  ENOSPC: 'Free some disk space, or choose another output directory',
  ENOTFOUND: 'Check the host name and the network',
  EROFS: 'Choose a directory that can be written',
};

const UNEXPECTED_HINT = 'This is a defect: run again with --verbose and report what it prints';

/**
 * What a user sees of an error: `error: <message>. <hint>`, always one line.
 *
 * With `verbose` the code stands in brackets and the stack with its causes follows.
 */
export function errorLine(thrown: unknown, verbose: boolean): string {
  const { code, message, hint } = explained(thrown);
  const label = verbose && code !== undefined ? `error [${code}]` : 'error';
  const line = printable(`${label}: ${sentence(message)}${hint === undefined ? '' : ` ${sentence(hint)}`}`);
  return verbose ? `${line}\n${inspect(thrown)}` : line;
}

function explained(thrown: unknown): { code: string | undefined; message: string; hint: string | undefined } {
  if (thrown instanceof Zk0Error) return { code: thrown.code, message: thrown.message, hint: thrown.hint };
  if (!(thrown instanceof Error)) return { code: undefined, message: String(thrown), hint: UNEXPECTED_HINT };
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;
  const known = code === undefined ? undefined : SYSTEM_HINTS[code];
  const message = thrown.message === '' ? thrown.name : thrown.message;
  return known === undefined
    ? { code, message: `unexpected ${thrown.name}: ${message}`, hint: UNEXPECTED_HINT }
    : { code, message, hint: known };
}

function sentence(message: string): string {
  return /[.!?]$/.test(message) ? message : `${message}.`;
}

import { constants, existsSync, statSync } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { errorMessage, InvalidArgumentError, Zk0Error } from '@zk0/core/errors';
import { formatBytes } from './format.ts';
import { table } from './table.ts';

/** Usable, but something that the reader should know. */
export interface Attention {
  readonly attention: string;
  readonly hint: string;
}

/** One question that a `doctor` command asks of a machine. */
export interface HealthCheck {
  /** What is looked at: a few words. */
  readonly name: string;
  /** What was found. Throws when a run would fail because of it; a {@link Zk0Error}'s hint says what to do. */
  readonly find: () => Promise<string | Attention> | string | Attention;
}

/** What came of a {@link HealthCheck}. */
export interface HealthFinding {
  readonly name: string;
  readonly state: 'ok' | 'attention' | 'failed';
  readonly found: string;
  readonly hint?: string;
}

/** Runs every check, whatever the ones before it found. */
export async function runHealthChecks(checks: readonly HealthCheck[]): Promise<HealthFinding[]> {
  const findings: HealthFinding[] = [];
  for (const { name, find } of checks) findings.push(await findingOf(name, find));
  return findings;
}

/** Findings as a table, what to do below it. */
export function describeFindings(findings: readonly HealthFinding[], width?: number): string {
  const rows = findings.map(({ name, state, found }) => [MARKS[state], name, found]);
  const lines = findings.flatMap(({ name, hint }) => (hint === undefined ? [] : [`${name}: ${hint}`]));
  return [table([{ header: '' }, { header: 'check' }, { header: 'found' }], rows, width), ...(lines.length === 0 ? [] : ['', ...lines])].join('\n');
}

/**
 * What a `doctor` command does with its checks: prints what was found, for people or as JSON.
 *
 * @returns 1 when a check failed
 */
export async function reportHealth(checks: readonly HealthCheck[], { json = false }: { readonly json?: boolean } = {}): Promise<number | undefined> {
  const findings = await runHealthChecks(checks);
  process.stdout.write(`${json ? JSON.stringify(findings, null, 2) : describeFindings(findings)}\n`);
  return findings.some(({ state }) => state === 'failed') ? 1 : undefined;
}

/** Checks that a directory can be written, or made, and says what space it has. */
export function diskSpaceCheck(directory: string): HealthCheck {
  return {
    name: `space in ${directory}`,
    find: async () => {
      // What is there already of the path: a check makes no folders.
      let there = resolve(directory);
      while (!existsSync(there)) there = dirname(there);
      if (!statSync(there).isDirectory()) throw new InvalidArgumentError(`${there} is a file`, { hint: 'Choose another folder.' });
      await access(there, constants.W_OK).catch((cause: unknown) => {
        throw new InvalidArgumentError(`${there} may not be written`, { cause, hint: 'Choose another folder, or change its permissions.' });
      });
      const { bavail, bsize, bfree } = await statfs(there);
      if (bfree === 0) throw new InvalidArgumentError(`${there} has no space`, { hint: 'Choose another folder.' });
      return `${formatBytes(bavail * bsize)} free`;
    },
  };
}

const MARKS: Readonly<Record<HealthFinding['state'], string>> = { ok: 'ok', attention: 'note', failed: 'FAIL' };

async function findingOf(name: string, find: HealthCheck['find']): Promise<HealthFinding> {
  try {
    const found = await find();
    return typeof found === 'string'
      ? { name, state: 'ok', found }
      : { name, state: 'attention', found: found.attention, hint: found.hint };
  } catch (error) {
    const hint = error instanceof Zk0Error ? error.hint : undefined;
    return { name, state: 'failed', found: errorMessage(error), ...(hint === undefined ? {} : { hint }) };
  }
}

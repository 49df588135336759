import { randomUUID } from 'node:crypto';
import { describeIssue, runConfigSchema, type JsonObject, type RunConfig } from '@zk0/core';
import type { Clock } from '../clock.ts';
import { FederationError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** A run's configuration as an operator sends it. @throws FederationError `RUN_CONFIG_INVALID` naming the first value that is wrong. */
export function runConfigOf(input: JsonObject): RunConfig {
  const parsed = runConfigSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FederationError('RUN_CONFIG_INVALID', `run configuration: ${issue === undefined ? 'it cannot be read' : `${issue.path.join('.')} ${describeIssue(issue)}`}`, {
    hint: 'See `zk0-server run --help` for what a run takes.',
  });
}

/** Enters a run into the ledger, where it waits for its turn. @returns its id: when it was submitted, and a random part. */
export async function recordRun(ledger: Ledger, config: RunConfig, clock: Clock): Promise<string> {
  const time = new Date(clock.now()).toISOString().slice(0, 19).replaceAll(':', '-').replace('T', '_');
  const runId = `${time}_${randomUUID().slice(0, 8)}`;
  await ledger.record(runId, { type: 'run-created', runId, config });
  return runId;
}

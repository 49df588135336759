import { compareNames } from '@zk0/core';
import { checkDeclared, inspectUpdate } from './check-update.ts';
import type { AggregationInput, ExcludedUpdate, Strategy } from './contract.ts';
import type { Executor } from './engine/executor.ts';
import { UpdateRejectedError } from './errors.ts';
import type { CheckedUpdate, Rule } from './rules/rule.ts';

/** The round's updates that count, in the order of their client ids, and those that do not. */
export interface AcceptedUpdates {
  readonly accepted: readonly CheckedUpdate[];
  readonly excluded: readonly ExcludedUpdate[];
}

/** Checks every update; data are read only of those that no `checkUpdate` has read before. */
export async function acceptUpdates(
  input: AggregationInput,
  rule: Rule,
  guards: Strategy['guards'],
  executor: Executor,
  signal: AbortSignal | undefined,
): Promise<AcceptedUpdates> {
  const accepted: CheckedUpdate[] = [];
  const excluded: ExcludedUpdate[] = [];
  const seen = new Set<string>();
  for (const update of [...input.updates].sort((a, b) => compareNames(a.clientId, b.clientId))) {
    try {
      if (seen.has(update.clientId)) {
        throw new UpdateRejectedError('UPDATE_DUPLICATE_CLIENT', update.clientId, 'a second update of the same round');
      }
      seen.add(update.clientId);
      checkDeclared(update, input.global.specs, guards);
      if ((update.staleness ?? 0) > 0 && rule.acceptsStale !== true) {
        throw new UpdateRejectedError('UPDATE_STALE', update.clientId, `it started ${update.staleness!} versions ago`, {
          hint: `${rule.name} aggregates updates of one round; fedbuff takes stale ones.`,
        });
      }
      rule.check?.(update);
      const context = { global: input.global, guards, ...(signal === undefined ? {} : { signal }) };
      const { norm } = update.inspection ?? (await inspectUpdate(update, context, executor));
      accepted.push({ ...update, norm });
    } catch (error) {
      if (!(error instanceof UpdateRejectedError)) throw error;
      excluded.push({ clientId: error.clientId, code: error.code, reason: error.message });
    }
  }
  return { accepted, excluded };
}

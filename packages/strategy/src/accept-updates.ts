import { compareNames } from '@zk0/core';
import { checkDeclared, inspectUpdate } from './check-update.ts';
import type { AggregationInput, ClientUpdate, ExcludedUpdate, Strategy } from './contract.ts';
import type { PassRunner } from './engine/pass.ts';
import { UpdateRejectedError } from './errors.ts';
import type { CheckedUpdate, Rule } from './rules/rule.ts';

/** The round's updates that count, in the order of their client ids, and those that do not. */
export interface AcceptedUpdates {
  readonly accepted: readonly CheckedUpdate[];
  readonly excluded: readonly ExcludedUpdate[];
}

/** Checks of every update what can be checked without reading data. The norm of one that nobody has read yet is NaN. */
export function acceptDeclared({ updates, global }: AggregationInput, rule: Rule, guards: Strategy['guards']): AcceptedUpdates {
  const seen = new Set<string>();
  const check = (update: ClientUpdate): CheckedUpdate => {
    if (seen.has(update.clientId)) {
      throw new UpdateRejectedError('UPDATE_DUPLICATE_CLIENT', update.clientId, 'a second update of the same round');
    }
    seen.add(update.clientId);
    checkDeclared(update, global.specs, guards);
    if ((update.staleness ?? 0) > 0 && rule.acceptsStale !== true) {
      throw new UpdateRejectedError('UPDATE_STALE', update.clientId, `it started ${update.staleness!} versions ago`, {
        hint: `${rule.name} aggregates updates of one round; fedbuff takes stale ones.`,
      });
    }
    rule.check?.(update);
    return { ...update, norm: update.inspection?.norm ?? NaN };
  };
  return settle([...updates].sort((a, b) => compareNames(a.clientId, b.clientId)), check);
}

/** Reads those updates that no `checkUpdate` has read. */
export async function acceptInspected(
  { accepted, excluded }: AcceptedUpdates,
  { global }: AggregationInput,
  guards: Strategy['guards'],
  run: PassRunner,
): Promise<AcceptedUpdates> {
  const norms = new Map<string, number | UpdateRejectedError>();
  for (const update of accepted.filter(({ inspection }) => inspection === undefined)) {
    const norm = await inspectUpdate(update, { global, guards }, run).then(
      (inspection) => inspection.norm,
      (error: unknown) => {
        if (error instanceof UpdateRejectedError) return error;
        throw error;
      },
    );
    norms.set(update.clientId, norm);
  }
  const inspected = settle(accepted, (update): CheckedUpdate => {
    const norm = norms.get(update.clientId);
    if (norm instanceof UpdateRejectedError) throw norm;
    return norm === undefined ? update : { ...update, norm };
  });
  const all = [...excluded, ...inspected.excluded].sort((a, b) => compareNames(a.clientId, b.clientId));
  return { accepted: inspected.accepted, excluded: all };
}

function settle<T extends ClientUpdate>(updates: readonly T[], check: (update: T) => CheckedUpdate): AcceptedUpdates {
  const accepted: CheckedUpdate[] = [];
  const excluded: ExcludedUpdate[] = [];
  for (const update of updates) {
    try {
      accepted.push(check(update));
    } catch (error) {
      if (!(error instanceof UpdateRejectedError)) throw error;
      excluded.push({ clientId: error.clientId, code: error.code, reason: error.message });
    }
  }
  return { accepted, excluded };
}

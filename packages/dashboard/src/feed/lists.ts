import { isDeepStrictEqual } from 'node:util';
import type { ClientStatus } from '@zk0/federation';
import type { ClientRecord } from '../model/events.ts';
import type { NodeView } from '../model/view.ts';
import type { EnrolledNode } from './sources.ts';

/** A client of the coordinator's overview as the page has it. */
export function clientRecords(client: ClientStatus): ClientRecord {
  const { clientId, name, agent, label, numExamples, state, lastSeen, misfit, resources, ...activity } = client;
  const { round, phase, step, totalSteps, loss } = activity as Partial<Pick<ClientRecord, 'round' | 'phase' | 'step' | 'totalSteps' | 'loss'>>;
  return {
    clientId,
    name,
    agent,
    dataset: label,
    examples: numExamples,
    state: state as ClientRecord['state'],
    lastSeen: Date.parse(lastSeen),
    ...(misfit !== undefined && { misfit }),
    ...(resources !== undefined && { memory: resources }),
    ...(round !== undefined && { round }),
    ...(phase !== undefined && { phase }),
    ...(step !== undefined && { step }),
    ...(totalSteps !== undefined && { totalSteps }),
    ...(loss !== undefined && { loss }),
  };
}

/** Nodes as the page has them. */
export function nodeViews(nodes: readonly EnrolledNode[]): NodeView[] {
  return nodes.map(({ clientId, state, fingerprint, dataset, enrolledAt, lastSeenAt }) => ({
    clientId, state, fingerprint, dataset, enrolledAt: enrolledAt.getTime(), lastSeenAt: lastSeenAt?.getTime() ?? null,
  }));
}

/** Whether two plain values differ. */
export function differing(a: unknown, b: unknown): boolean {
  return !isDeepStrictEqual(a, b);
}

import type { ClientResources } from '@zk0/core';
import type { RegisteredClient } from './clients/registered-client.ts';
import type { RunSummary } from './ledger/run-summary.ts';

/** What operators see. */
export interface FederationStatus {
  readonly clients: readonly ClientStatus[];
  readonly runs: readonly RunSummary[];
  /** The run that is being driven. */
  readonly current: string | null;
  /** What it waits for. */
  readonly waiting: string | null;
}

/** A client as operators see it; beside these fields those of its activity. */
export interface ClientStatus extends Pick<RegisteredClient, 'clientId' | 'name' | 'agent' | 'label' | 'numExamples' | 'bytesUp' | 'bytesDown'> {
  readonly state: string;
  /** ISO 8601, UTC. */
  readonly lastSeen: string;
  /** Why it gets no work. */
  readonly misfit?: string;
  /** Memory that it uses, where it says so. */
  readonly resources?: ClientResources;
}

/** A client as operators see it. @param misfit why it gets no work. */
export function clientStatus(client: RegisteredClient, misfit: string | undefined): ClientStatus {
  const { clientId, name, agent, label, numExamples, bytesUp, bytesDown, activity, lastSeen, resources } = client;
  const more = { ...(misfit !== undefined && { misfit }), ...(resources !== undefined && { resources }) };
  return { clientId, name, agent, label, numExamples, bytesUp, bytesDown, ...activity, lastSeen: new Date(lastSeen).toISOString(), ...more };
}

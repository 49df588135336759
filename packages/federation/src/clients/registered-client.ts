import type { ClientResources, JsonObject } from '@zk0/core';

/** What a client is doing, as far as the server knows. */
export type ClientActivity =
  /** Waits for work. */
  | { readonly state: 'idle' }
  /** Has taken a task; `phase` and steps are what it reported last. */
  | {
      readonly state: 'working';
      readonly round: number;
      readonly phase: string;
      readonly step: number;
      readonly totalSteps: number;
      readonly loss?: number;
      /** When this phase was first heard of, in milliseconds since the epoch: with the steps, how fast it goes. */
      readonly phaseSince?: number;
    }
  /** Said goodbye. */
  | { readonly state: 'left' }
  /** Was silent for too long. */
  | { readonly state: 'offline' };

/** What the application understood of a client's profile. */
export interface ClientDescription {
  /** Names what the client trains on, for people. */
  readonly label: string;
  /** Training examples that it declares: the weight of its updates is never above it. */
  readonly numExamples: number;
}

/** A client that has joined. */
export interface RegisteredClient extends ClientDescription {
  readonly clientId: string;
  readonly instance: string;
  readonly name: string;
  readonly agent: string;
  /** What it said of itself, checked by the application. */
  readonly profile: JsonObject;
  readonly activity: ClientActivity;
  /** Milliseconds since the epoch. */
  readonly lastSeen: number;
  /** What its accepted updates say of bytes sent and received, since it was first seen here. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** What it said last of the memory that it uses; known to the server that it talks to, and to no other. */
  readonly resources?: ClientResources;
  /** The server that it talks to, of several that share a store; this one when absent. */
  readonly server?: string;
}

/** An activity with the time from which its phase goes on. */
export function dated(activity: ClientActivity, before: ClientActivity, now: number): ClientActivity {
  if (activity.state !== 'working') return activity;
  const goesOn = before.state === 'working' && before.round === activity.round && before.phase === activity.phase && before.step <= activity.step;
  return { ...activity, phaseSince: (goesOn ? before.phaseSince : undefined) ?? now };
}

/** Whether a client is heard. */
export function isOnline({ activity }: RegisteredClient): boolean {
  return activity.state !== 'offline' && activity.state !== 'left';
}

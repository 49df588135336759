import type { BlobReference, RunState } from '@zk0/core';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Observer } from './observer.ts';

/** An upload is complete before the result that names it arrives: a blob this young may belong to one on its way. */
const UPLOAD_GRACE_MS = 60_000;

/** Removes the blobs that no run which is not over can need any more, after each round. */
export function blobCollector(ledger: Ledger, blobs: EngineBlobs): Observer {
  return {
    name: 'blob collection',
    handle: async ({ event }) => {
      if (event.type !== 'round-checkpointed' && event.type !== 'round-skipped') return;
      const keep = new Set<string>();
      for (const runId of await ledger.openRuns()) {
        // From the store: what a server that is not the leader any more remembers names other blobs.
        const run = await ledger.refresh(runId);
        if (run !== null) for (const hash of neededBlobs(run.state)) keep.add(hash);
      }
      await blobs.collect(keep, { minimumAgeMs: UPLOAD_GRACE_MS });
    },
  };
}

/** Addresses of everything that a later step of a run, or a client with an open task, may read. */
export function neededBlobs({ parameters, published, strategyState, rounds, underWay }: RunState): string[] {
  const participants = [...(rounds.at(-1)?.participants.values() ?? [])];
  const answered = participants.flatMap(({ outcome }) => (outcome.state === 'accepted' ? [outcome.update, outcome.control] : []));
  // Those of the newest round's tasks are the parameters themselves, or what is published of them.
  const asked = [...participants, ...(underWay?.values() ?? [])].flatMap(({ instructions, task }) => {
    const { control, broadcast } = instructions as NamedBlobs;
    return [task?.parameters, control?.server, broadcast?.step?.encoded];
  });
  return [parameters, published?.parameters, published?.encoded, strategyState, ...answered, ...asked].flatMap((blob) => (blob == null ? [] : [blob.hash]));
}

/** The part of a task's instructions that names blobs. */
interface NamedBlobs {
  readonly control?: { readonly server?: BlobReference | null };
  readonly broadcast?: { readonly step?: { readonly encoded: BlobReference } | null };
}

import { compareNames, deriveSeed, type BlobReference, type Participant, type Participation, type RoundState, type RunState, versionsSince } from '@zk0/core';
import { StorageError } from '@zk0/storage';
import type { AggregationInput, ClientUpdate, Scalars, Strategy, UpdateInspection } from '@zk0/strategy';
import type { Ledger } from '../ledger/ledger.ts';
import { assignmentSchema } from './instructions.ts';
import type { OpenBlobs, OpenTensors } from './open-blobs.ts';
import { publishedParameters } from './publish-parameters.ts';
import { updateTensors } from './update-tensors.ts';

/** What opening a closed round needs. */
export interface OpenRoundOptions {
  readonly ledger: Pick<Ledger, 'secret'>;
  readonly strategy: Strategy;
  readonly files: OpenBlobs;
  /** Opens what a client sent. */
  readonly openSent: (blob: BlobReference) => Promise<OpenTensors>;
  /** What reading an update has shown already. */
  readonly inspectionOf: (clientId: string, update: BlobReference) => UpdateInspection | undefined;
  /** Clients whose updates are known to be damaged. */
  readonly damaged?: readonly string[];
  /** Called for an update that the server took in and does not have any more; it is thrown when absent. */
  readonly onDamaged?: (clientId: string, error: StorageError) => void;
}

/** What a client gave a round. */
export type AcceptedUpdate = Extract<Participation, { state: 'accepted' }> & { readonly clientId: string; readonly participant: Participant };

/** The clients that gave a closed round an update, in the order of their ids. */
export function acceptedIn({ participants }: RoundState): AcceptedUpdate[] {
  return [...participants]
    .flatMap(([clientId, participant]) => (participant.outcome.state === 'accepted' ? [{ clientId, participant, ...participant.outcome }] : []))
    .sort((a, b) => compareNames(a.clientId, b.clientId));
}

/**
 * Opens what a closed round's updates are aggregated from: the same wherever and whenever it is done, for the same history.
 *
 * @throws StorageError `BLOB_DAMAGED`, `BLOB_NOT_FOUND`; what opening throws
 */
export async function openRound(state: RunState, options: OpenRoundOptions): Promise<AggregationInput & { readonly global: OpenTensors }> {
  const { ledger, strategy, files, openSent, inspectionOf, onDamaged } = options;
  const round = state.rounds.at(-1)!;
  const global = await files.openVerified(state.parameters!);
  const bases = new Map([[state.parameters!.hash, global]]);
  /** What a client began with. */
  const begunWith = async ({ task }: Participant): Promise<{ readonly parameters: BlobReference; readonly global: OpenTensors }> => {
    const parameters = task?.parameters ?? publishedParameters(state);
    const base = bases.get(parameters.hash) ?? (await files.openVerified(parameters));
    bases.set(parameters.hash, base);
    return { parameters, global: base };
  };
  const damaged = new Set(options.damaged);
  const updates: ClientUpdate[] = [];
  // Under masks an update by itself is noise: whoever aggregates opens their sum.
  const readable = round.secure === undefined ? acceptedIn(round) : [];
  for (const { clientId, participant, numExamples, metrics, update, control } of readable) {
    if (damaged.has(clientId)) continue;
    const inspection = inspectionOf(clientId, update);
    try {
      const sent = await sentTensors(strategy, { update, control }, openSent);
      const tensors = updateTensors(state, clientId, sent.tensors, await begunWith(participant));
      updates.push({ clientId, numExamples, metrics, ...startOf(state, participant), ...sent, ...tensors, ...(inspection !== undefined && { inspection }) });
    } catch (error) {
      if (onDamaged === undefined || !isLost(error)) throw error;
      damaged.add(clientId);
      onDamaged(clientId, error);
    }
  }
  return {
    round: round.round,
    global,
    updates,
    state: state.strategyState === null ? null : await files.openVerified(state.strategyState),
    scalars: state.strategyScalars as Scalars,
    seed: deriveSeed(state.config.seed, 'aggregate', round.round),
    ...(strategy.needsNoiseSecret && { noiseSecret: await ledger.secret(state.runId) }),
    failures: failures(round) + damaged.size,
    population: everyClient(state).size,
  };
}

/** An update's tensors, and the change of its control variate where the strategy asks for one. */
export async function sentTensors(
  strategy: Strategy,
  { update, control }: { readonly update: BlobReference; readonly control: BlobReference | undefined },
  open: (blob: BlobReference) => Promise<OpenTensors>,
): Promise<{ tensors: OpenTensors; control?: OpenTensors }> {
  const tensors = await open(update);
  return control === undefined || strategy.guards.needsControl !== true ? { tensors } : { tensors, control: await open(control) };
}

/** How long ago a client began, and how many steps it made, where that may differ between the updates of a round. */
export function startOf(state: RunState, participant: Participant | undefined): Pick<ClientUpdate, 'staleness' | 'localSteps'> {
  const { task, instructions } = participant ?? {};
  const fit = state.config.localStepsBySpeed === undefined ? undefined : assignmentSchema.shape.fit.parse(instructions?.['fit']);
  return {
    ...(task !== undefined && { staleness: versionsSince(state, task.round) }),
    ...(fit !== undefined && { localSteps: fit.localSteps }),
  };
}

/** What the server took in and does not have any more is its own fault, not the client's. */
export function isLost(error: unknown): error is StorageError {
  return error instanceof StorageError && (error.code === 'BLOB_DAMAGED' || error.code === 'BLOB_NOT_FOUND');
}

/** Who was there when the run started, or has been asked since: a function of the ledger, so that a restarted server counts the same. */
function everyClient({ clients, rounds }: RunState): ReadonlySet<string> {
  return new Set([...clients, ...rounds.flatMap(({ participants }) => [...participants.keys()])]);
}

/** Clients that were asked, needed, and gave nothing that counts. */
function failures({ participants }: RoundState): number {
  return [...participants.values()].filter(({ outcome: { state } }) => state !== 'accepted' && state !== 'unneeded').length;
}

import { arch, cpus, platform, release } from 'node:os';
import { deriveSeed, loraOf, runContextSchema, Zk0Error, type ClientProfile, type JsonObject, type RunConfig } from '@zk0/core';
import { alignedMoments, alignRecording, type AlignmentTarget } from '@zk0/dataset-so100';
import { parseStrategyConfig } from '@zk0/strategy';
import * as z from 'zod';
import { versions } from '../versions.ts';
import { commonNormalizer } from './normalizer.ts';
import type { ServerModel } from './server-model.ts';

/** A dataset that had a part in a run. */
const datasetSchema = z.strictObject({
  role: z.enum(['train', 'held-out']),
  clientId: z.string().exactOptional(),
  name: z.string(),
  commit: z.string().exactOptional(),
  /** Where it can be had again: of held-out ones as the run names it, of others only their place on the hub. */
  uri: z.string().exactOptional(),
  contentHash: z.string(),
  episodes: z.int(),
  frames: z.int(),
});

/** Everything that is computed with, where the configuration leaves it to the policy or the strategy. */
const resolvedSchema = z.strictObject({
  localSteps: z.int(),
  batchSize: z.int(),
  /** Peak of a round's cosine, before any schedule. */
  learningRate: z.number(),
  proximalMu: z.number(),
  /** Samples of a batch in evaluations, whatever the training's batch is. */
  evaluationBatchSize: z.int(),
  /** With every option of the strategy. */
  strategy: z.record(z.string(), z.json()),
});

/** What a run is computed on. */
const computeSchema = z.strictObject({
  versions: z.record(z.string(), z.string()),
  /** `threads` is null where onnxruntime chooses. */
  server: z.strictObject({ device: z.string(), precision: z.string(), threads: z.int().nullable(), platform: z.string(), processor: z.string(), cpus: z.int() }),
  clients: z.array(z.strictObject({ clientId: z.string(), agent: z.string(), device: z.string() })),
});

/** What a run's start fixes: what every participant is told (`run`), and what is for the record alone. */
export const startContextSchema = z.strictObject({
  run: runContextSchema,
  datasets: z.array(datasetSchema),
  robot: z.strictObject({ stateNames: z.array(z.string()).readonly(), actionNames: z.array(z.string()).readonly() }),
  /** Absent, as `compute`, in ledgers of earlier releases. */
  resolved: resolvedSchema.exactOptional(),
  compute: computeSchema.exactOptional(),
  /** What all recordings are brought to: joints, their order and units, the frame rate. Absent in ledgers of earlier releases. */
  alignment: z.custom<AlignmentTarget>((value) => typeof value === 'object' && value !== null).exactOptional(),
});
export type StartContext = z.infer<typeof startContextSchema>;

/** A client with what it said of its dataset. */
export interface ProfiledClient {
  readonly clientId: string;
  /** Software and version. */
  readonly agent: string;
  readonly profile: ClientProfile;
}

/**
 * What holds for a whole run, from its model and the clients that are there as it starts.
 *
 * @throws Zk0Error `DATASET_OVERLAP` when a client trains on what is held out.
 */
export function startContext(model: ServerModel, config: RunConfig, clients: readonly ProfiledClient[], alignment: AlignmentTarget): StartContext {
  const lora = loraOf(config);
  const run = runContextSchema.parse({
    policy: { source: model.policySource, baseHash: model.baseHash, ...(lora !== undefined && { lora }) },
    features: model.features,
    normalizer: commonNormalizer(clients.map(({ profile }) => alignedProfile(profile.dataset, alignment))),
    ...(config.augment === undefined ? {} : { augment: { config: config.augment, seed: deriveSeed('augment', config.seed) } }),
  });
  const datasets: StartContext['datasets'] = [
    ...clients.map(({ clientId, profile }) => ({ role: 'train' as const, clientId, ...datasetIdentity(profile.dataset) })),
    ...model.heldOut.map((profile, index) => ({ role: 'held-out' as const, ...datasetIdentity(profile), uri: config.heldOut[index] ?? profile.name })),
  ];
  checkDisjoint(datasets);
  return { run, datasets, robot: model.robot, resolved: resolvedOf(model, config), compute: computeOf(model, clients), alignment };
}

function resolvedOf({ trainingDefaults, evaluationBatchSize }: ServerModel, config: RunConfig): NonNullable<StartContext['resolved']> {
  const strategy = parseStrategyConfig(config.strategy);
  return {
    localSteps: config.localSteps ?? trainingDefaults.localSteps,
    batchSize: config.batchSize ?? trainingDefaults.batchSize,
    learningRate: config.learningRate ?? trainingDefaults.learningRate,
    proximalMu: 'proximalMu' in strategy ? strategy.proximalMu : 0,
    evaluationBatchSize,
    strategy: JSON.parse(JSON.stringify(strategy)) as JsonObject,
  };
}

function computeOf({ compute: { device, precision, threads } }: ServerModel, clients: readonly ProfiledClient[]): NonNullable<StartContext['compute']> {
  const processors = cpus();
  return {
    versions: versions(),
    server: { device, precision, threads, platform: `${platform()} ${release()} ${arch()}`, processor: processors[0]?.model ?? 'unknown', cpus: processors.length },
    clients: clients.map(({ clientId, agent, profile }) => ({ clientId, agent, device: profile.device })),
  };
}

function datasetIdentity({ name, commit, contentHash, recordedHash = contentHash, episodes, frames }: ClientProfile['dataset']): Omit<StartContext['datasets'][number], 'role'> {
  return { name, ...(commit === undefined ? {} : { commit, uri: `hf:${name}@${commit}` }), contentHash: recordedHash, episodes, frames };
}

/** Training on what is held out would make every evaluation a lie. */
function checkDisjoint(datasets: StartContext['datasets']): void {
  const heldOut = new Set(datasets.filter(({ role }) => role === 'held-out').map(({ contentHash }) => contentHash));
  const both = datasets.find(({ role, contentHash }) => role === 'train' && heldOut.has(contentHash));
  if (both === undefined) return;
  throw new Zk0Error('DATASET_OVERLAP', `client ${both.clientId ?? ''} trains on ${both.name}, which is held out`, {
    hint: 'Hold out episodes that no client has.',
  });
}

/** Clients that train on the same recording, which then counts as often: pairs of ids, each with the name of the dataset. */
export function sameRecordings(clients: readonly ProfiledClient[]): { readonly clients: readonly string[]; readonly dataset: string }[] {
  const byContent = new Map<string, { clients: string[]; dataset: string }>();
  for (const { clientId, profile } of clients) {
    const { contentHash, recordedHash = contentHash } = profile.dataset;
    const known = byContent.get(recordedHash);
    if (known === undefined) byContent.set(recordedHash, { clients: [clientId], dataset: profile.dataset.name });
    else known.clients.push(clientId);
  }
  return [...byContent.values()].filter((one) => one.clients.length > 1);
}

/** What a client's recordings are once they are brought to the target. */
function alignedProfile(profile: ClientProfile['dataset'], target: AlignmentTarget): ClientProfile['dataset'] {
  const decision = alignRecording(profile, target);
  if (decision.kind !== 'ready' || decision.alignment === null) return profile;
  const { state, action } = decision.alignment;
  const moments = { state: alignedMoments(profile.moments.state, state), action: alignedMoments(profile.moments.action, action) };
  return { ...profile, moments: JSON.parse(JSON.stringify(moments)) as ClientProfile['dataset']['moments'] };
}

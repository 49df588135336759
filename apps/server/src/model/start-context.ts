import { runContextSchema, Zk0Error, type ClientProfile, type RunContext, type RunState } from '@zk0/core';
import * as z from 'zod';
import { commonNormalizer } from './normalizer.ts';
import type { ServerModel } from './server-model.ts';

/** A dataset that had a part in a run. */
const datasetSchema = z.strictObject({
  role: z.enum(['train', 'held-out']),
  clientId: z.string().exactOptional(),
  name: z.string(),
  commit: z.string().exactOptional(),
  contentHash: z.string(),
  episodes: z.int(),
  frames: z.int(),
});

/** What a run's start fixes: what every participant is told (`run`), and what is for the record alone. */
export const startContextSchema = z.strictObject({
  run: runContextSchema,
  datasets: z.array(datasetSchema),
  robot: z.strictObject({ stateNames: z.array(z.string()).readonly(), actionNames: z.array(z.string()).readonly() }),
});
export type StartContext = z.infer<typeof startContextSchema>;

/** A client with what it said of its dataset. */
export interface ProfiledClient {
  readonly clientId: string;
  readonly profile: ClientProfile;
}

/**
 * What holds for a whole run, from its model and the clients that are there as it starts.
 *
 * @throws Zk0Error `DATASET_OVERLAP` when a client trains on what is held out.
 */
export function startContext(model: ServerModel, clients: readonly ProfiledClient[]): StartContext {
  const run = runContextSchema.parse({
    policy: { source: model.policySource, baseHash: model.baseHash },
    features: model.features,
    normalizer: commonNormalizer(clients.map(({ profile }) => profile.dataset)),
  });
  const datasets: StartContext['datasets'] = [
    ...clients.map(({ clientId, profile }) => ({ role: 'train' as const, clientId, ...datasetIdentity(profile.dataset) })),
    ...model.heldOut.map((profile) => ({ role: 'held-out' as const, ...datasetIdentity(profile) })),
  ];
  checkDisjoint(datasets);
  return { run, datasets, robot: model.robot };
}

/** What every participant of a run that has started is told. */
export function runContextOf(state: Pick<RunState, 'context'>): RunContext {
  return startContextSchema.parse(state.context).run;
}

function datasetIdentity({ name, commit, contentHash, episodes, frames }: ClientProfile['dataset']): Omit<StartContext['datasets'][number], 'role'> {
  return { name, ...(commit === undefined ? {} : { commit }), contentHash, episodes, frames };
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

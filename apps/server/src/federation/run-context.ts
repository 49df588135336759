import {
  InvalidArgumentError,
  runContextSchema,
  Zk0Error,
  type ClientProfile,
  type RunConfig,
  type RunContext,
  type RunState,
} from '@zk0/core';
import { createStrategy } from '@zk0/strategy';
import type { RegisteredClient } from './client-registry.ts';
import { commonNormalizer } from './normalizer.ts';
import { startContextSchema, type StartContext } from './run-recorder.ts';
import type { ServerModel } from './server-model.ts';

/**
 * What holds for a whole run, from its model and the clients that are there as it starts.
 *
 * @throws Zk0Error `DATASET_OVERLAP` when a client trains on what is held out.
 */
export function startContext(model: ServerModel, clients: readonly RegisteredClient[]): StartContext {
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

/** A running run's context. */
export function runContext(state: RunState): RunContext {
  return startContextSchema.parse(state.context).run;
}

/**
 * Refuses a configuration that could only fail later.
 *
 * @throws Zk0Error saying what does not fit.
 */
export function checkRunConfig({ strategy: settings, minClients }: Pick<RunConfig, 'strategy' | 'minClients'>): void {
  const strategy = createStrategy(settings);
  if (strategy.minUpdates > minClients) {
    throw new InvalidArgumentError(
      `strategy ${strategy.name} needs ${strategy.minUpdates} updates, the run starts with ${minClients} clients`,
      { hint: `Raise minClients to ${strategy.minUpdates}.` },
    );
  }
  if (settings['poissonRate'] !== undefined) {
    throw new InvalidArgumentError('poissonRate: a run chooses a fixed number of clients, which does not count in privacy’s favour', {
      hint: 'Leave poissonRate out: the privacy spent is then accounted as if every client took part.',
    });
  }
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

import { clientProfileSchema, Zk0Error, type ClientProfile, type JsonObject, type RunConfig } from '@zk0/core';
import type { ClientDescription, FederatedModel, OpenRunOptions, RegisteredClient, RunModel } from '@zk0/federation';
import { openHub } from '@zk0/hub';
import { checkTasks } from '../rollout/worlds.ts';
import { checkSources } from './allowed-sources.ts';
import { ServerModel, type ServerModelOptions } from './server-model.ts';
import { SmolVlaRun } from './smolvla-run.ts';
import { startContextSchema } from './start-context.ts';

/** How the server runs its models. */
export interface SmolVlaModelOptions extends Pick<ServerModelOptions, 'device' | 'precision' | 'threads' | 'cacheDirectory'> {
  /** Folders under which runs may name policies and datasets by path; absent: any path (whoever submits runs owns this machine). */
  readonly folders?: readonly string[];
  /** Where a run's outputs go. */
  readonly directory: (runId: string) => string;
  readonly log: { info(message: string): void; warn(message: string): void };
}

/** SmolVLA as a federation trains it: what the engine needs to know of it, and nothing more. */
export class SmolVlaModel implements FederatedModel {
  readonly #options: SmolVlaModelOptions;

  constructor(options: SmolVlaModelOptions) {
    this.#options = options;
  }

  describeClient(profile: JsonObject): ClientDescription {
    const { dataset } = parseProfile(profile);
    return { label: dataset.name, numExamples: dataset.frames };
  }

  async checkConfig(config: RunConfig): Promise<void> {
    const { folders } = this.#options;
    if (folders !== undefined) checkSources(config, folders);
    if (config.rollouts !== undefined) await checkTasks(config.rollouts.tasks);
    if (config.pushTo === undefined) return;
    const hub = await openHub();
    try {
      await hub.checkPush({ type: 'model', name: config.pushTo });
    } finally {
      await hub.close();
    }
  }

  async openRun({ runId, config, context, clients }: OpenRunOptions): Promise<RunModel> {
    const { log, directory } = this.#options;
    const start = context === null ? undefined : startContextSchema.parse(context);
    const started = start === undefined ? null : start.run;
    const model = await ServerModel.open(
      // The policy as it was when the run began, though its branch on the hub may have moved.
      started === null ? config : { ...config, policy: started.policy.source },
      {
        ...this.#options,
        ...(started !== null && { features: started.features }),
        ...(clients.length > 0 && { fallback: usualRecording(clients.map((client) => profileOf(client).dataset)) }),
        alignment: start?.alignment,
        onNote: (note) => {
          log.info(note);
        },
        onCorruptFrame: (dataset, frame, error) => {
          log.warn(`evaluation skips frame ${frame} of ${dataset}: ${error.message}`);
        },
      },
    );
    log.info(model.device);
    const [held] = model.heldOut;
    const from = started === null ? `the recordings ${held === undefined ? 'that most clients have' : `held out, ${held.name}`}` : 'the start of the run';
    log.info(`the policy's sizes and cameras (${model.features.cameras.join(', ')}) come from ${model.featuresFrom === 'config' ? 'its checkpoint' : from}`);
    return new SmolVlaRun({ model, config, directory: directory(runId), alignment: start?.alignment, log });
  }
}

/** The first of the recordings whose cameras and sizes most clients have. */
function usualRecording(datasets: readonly ClientProfile['dataset'][]): ClientProfile['dataset'] {
  const shape = ({ cameras, stateNames, actionNames }: ClientProfile['dataset']): string =>
    JSON.stringify([cameras.map(({ key }) => key).sort(), stateNames.length, actionNames.length]);
  const count = (wanted: string): number => datasets.filter((dataset) => shape(dataset) === wanted).length;
  return datasets.reduce((best, dataset) => (count(shape(dataset)) > count(shape(best)) ? dataset : best));
}

/** What a registered client said of itself. */
export function profileOf({ profile }: Pick<RegisteredClient, 'profile'>): ClientProfile {
  return parseProfile(profile);
}

function parseProfile(profile: JsonObject): ClientProfile {
  const parsed = clientProfileSchema.safeParse(profile);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Zk0Error('PROFILE_INVALID', `the client's description of itself cannot be used: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unknown'}`, {
    hint: 'Run the same zk0 release on both sides.',
  });
}

import type { AlignmentTarget } from '@zk0/dataset-so100';
import type { Actor, PolicyFeatures } from '@zk0/policy-smolvla';
import { blindReplay, motionless, rollout, type Controller, type RolloutReport } from '@zk0/rollout';
import { Clips, trialsToFilm } from './clips.ts';
import { alignWorld, checkFit, policyController, type CameraNames } from './policy-controller.ts';
import { recordDemonstrations, type TriedWorld } from './worlds.ts';

/** Demonstrations that blind replay draws from. */
const RECORDINGS = 12;
/** The baselines cost next to nothing, but an interval of theirs need not be narrower than the policy's. */
export type Baselines = { readonly motionless: RolloutReport; readonly replay: RolloutReport };

/** Clips of trials. */
export interface FilmOptions {
  readonly directory: string;
  /** Successes, and failures, that are filmed. */
  readonly each: number;
}

export interface TryOptions {
  readonly worlds: readonly TriedWorld[];
  readonly trials: number;
  readonly seed: string | number;
  readonly signal?: AbortSignal;
  /** What is filmed; nothing without. */
  readonly video?: FilmOptions;
  readonly onTrial?: (done: number, successes: number) => void;
}

/** Tries any controller, and films it where asked to. */
export async function tryController(controller: Controller, options: TryOptions): Promise<RolloutReport> {
  const { worlds, trials, seed, signal, video, onTrial } = options;
  let [done, successes] = [0, 0];
  const common = { worlds, controller, trials, seed, ...(signal === undefined ? {} : { signal }) };
  const report = await rollout({
    ...common,
    onTrial: (trial) => {
      done++;
      if (trial.success) successes++;
      onTrial?.(done, successes);
    },
  });
  if (video === undefined || signal?.aborted === true) return report;
  // Trials repeat, so those worth showing are known before any picture is drawn for a clip.
  const clips = new Clips(video.directory);
  await rollout({
    ...common,
    only: trialsToFilm(report.results, video.each),
    onFrame: (index, _world, observation) => {
      clips.film(index, observation);
    },
    onTrial: (trial) => clips.end(trial, worlds.find(({ info }) => info.name === trial.world)!.info.fps),
  });
  return report;
}

/**
 * Tries a policy.
 *
 * @param target what it was trained on, as its checkpoint says; null where it does not
 * @throws Zk0Error `ROLLOUT_MISMATCH` when it does not fit the worlds
 */
export async function tryPolicy(
  actor: Actor,
  features: PolicyFeatures,
  names: CameraNames,
  target: AlignmentTarget | null,
  options: TryOptions,
): Promise<RolloutReport> {
  for (const world of options.worlds) checkFit(features, world.info, names);
  // All worlds are of one robot, with one frame rate each.
  const [alignment] = options.worlds.map((world) => alignWorld(world.info, target));
  return tryController(policyController(actor, features, names, alignment), options);
}

/** What needs no learning, in the same situations: an arm that does nothing, and recordings played back blindly. */
export async function tryBaselines(options: Omit<TryOptions, 'video'>): Promise<Baselines> {
  const replay = blindReplay(recordDemonstrations(options.worlds, RECORDINGS, options.seed));
  return {
    motionless: await tryController(motionless, options),
    replay: await tryController(replay, options),
  };
}

import { deriveSeed, Zk0Error, type ClientProfile, type JointConvention, type RgbImage, type WorldInfo, type WorldObservation } from '@zk0/core';
import { alignedRows, alignRecording, unalignedRow, type Alignment, type AlignmentTarget } from '@zk0/dataset-so100';
import { proposeRenames, type Actor, type ActRequest, type PolicyFeatures, type PredictedChunk } from '@zk0/policy-smolvla';
import type { Act } from '@zk0/rollout';

/** Two rates are one where they differ by less than this share. */
const RATE_TOLERANCE = 0.01;

/** World camera → policy camera, for those that have different names. */
export type CameraNames = ReadonlyMap<string, string>;

/**
 * Fails unless a policy can act in a world: the same number of joints, and a picture for each of its cameras.
 *
 * @throws Zk0Error `ROLLOUT_MISMATCH`, which lists both sides
 */
export function checkFit(features: PolicyFeatures, world: WorldInfo, names: CameraNames): void {
  const { stateSize, actionSize } = features;
  if (stateSize !== world.stateNames.length || actionSize !== world.actionNames.length) {
    throw new Zk0Error(
      'ROLLOUT_MISMATCH',
      `the policy takes ${stateSize} state values and gives ${actionSize} actions, the robot of ${world.name} has ${world.stateNames.length} and ${world.actionNames.length}`,
      { hint: 'Choose a policy that was trained for this robot.' },
    );
  }
  const keys = world.cameras.map(({ key }) => key);
  const given = keys.map((key) => names.get(key) ?? key);
  const unknown = [...names.keys()].filter((key) => !keys.includes(key));
  const missing = features.cameras.filter((key) => !given.includes(key));
  if (missing.length === 0 && unknown.length === 0) return;
  const what = unknown.length > 0 ? `renaming names no camera of the world: ${unknown.join(', ')}` : `no camera for ${missing.join(', ')}`;
  const listed = keys.map((key) => (names.has(key) ? `${key} as ${names.get(key)!}` : key));
  const likeliest = Object.entries(proposeRenames(features.cameras, keys)).map(([from, to]) => `--rename ${from}=${to}`);
  throw new Zk0Error('ROLLOUT_MISMATCH', `${what}; the policy takes [${features.cameras.join(', ')}], ${world.name} has [${listed.join(', ')}]`, {
    hint: likeliest.length === 0 ? 'Leave renamings out: the names are the same.' : `The likeliest is ${likeliest.join(' ')}; check that each camera sees what the policy was trained on.`,
  });
}

/**
 * Has a policy act: it predicts a chunk of actions and looks again after the first `n_action_steps` of them. Its noise
 * comes from the trial's seed. Trials that look again at the same moment are predicted together.
 *
 * @param alignment what is done to the world's states before the policy sees them, and undone to its actions; null for nothing
 */
export function policyController(actor: Actor, features: PolicyFeatures, names: CameraNames, alignment: Alignment | null = null): (seed: string) => Act {
  const predict = together((requests: readonly ActRequest[]) => actor.actTogether(requests));
  return (seed) => {
    let chunk: PredictedChunk | undefined;
    let next = 0;
    let step = 0;
    return async (seen) => {
      if (chunk === undefined || next === Math.min(actor.actionSteps, chunk.chunkSize)) {
        const observation = {
          state: alignment === null ? seen.state : alignedRows(Float32Array.from(seen.state), alignment.state),
          task: seen.task,
          // A world renders its pictures when they are first asked for: nothing else may touch them.
          images: lookedAt(seen.images, features, names),
        };
        chunk = await predict({ observation, options: { seed: deriveSeed(seed, 'noise', step) } });
        next = 0;
      }
      step++;
      const values = chunk.actions.slice(next * chunk.actionSize, ++next * chunk.actionSize);
      return alignment === null ? values : unalignedRow(values, alignment.action);
    };
  };
}

/** A world's pictures under the policy's names for its cameras; of those that it does not look at, none. */
function lookedAt(images: WorldObservation['images'], features: PolicyFeatures, names: CameraNames): Record<string, RgbImage> {
  const renamed = Object.entries(images).map(([key, image]): [string, RgbImage] => [names.get(key) ?? key, image]);
  return Object.fromEntries(renamed.filter(([name]) => features.cameras.includes(name)));
}

/** Gathers what is asked in one turn of the event loop, and has it answered together. */
function together<Q, A>(answer: (questions: readonly Q[]) => Promise<readonly A[]>): (question: Q) => Promise<A> {
  let waiting: { readonly questions: Q[]; readonly answers: Promise<readonly A[]> } | undefined;
  return async (question) => {
    if (waiting === undefined) {
      const questions: Q[] = [];
      const asked = new Promise<void>((resolve) => setImmediate(resolve));
      const answers = asked.then(() => {
        waiting = undefined;
        return answer(questions);
      });
      waiting = { questions, answers };
    }
    const { questions, answers } = waiting;
    const index = questions.push(question) - 1;
    return (await answers)[index]!;
  };
}

/**
 * What brings a world's states to those that a policy was trained on, and its actions back: joints in another order, other units, by
 * the checkpoint's own record of them.
 *
 * @returns null where they are the same, or the checkpoint does not say
 * @throws Zk0Error `ROLLOUT_MISMATCH` where there is no way from one to the other
 */
export function alignWorld(world: WorldInfo, target: AlignmentTarget | null): Alignment | null {
  if (target === null) return null;
  const conventions = (names: readonly string[]): JointConvention[] => names.map((name) => ({ unit: name.includes('gripper') ? 'percent' : 'degrees', confidence: 1 }));
  const nothing = (names: readonly string[]): number[] => names.map(() => 0);
  const moments = (names: readonly string[]): ClientProfile['dataset']['moments']['state'] => ({ count: 1, mean: nothing(names), m2: nothing(names), min: nothing(names), max: nothing(names) });
  const { name, robotType, fps, stateNames, actionNames, cameras } = world;
  if (Math.abs(fps / target.fps - 1) > RATE_TOLERANCE) {
    throw new Zk0Error('ROLLOUT_MISMATCH', `the policy was trained on recordings of ${target.fps} frames a second, ${name} takes ${fps} actions a second`, {
      hint: name.startsWith('demo:') ? `Write the rate into the address: --task "${name}?fps=${target.fps}"; the demo world takes whole rates from 5 to 30.` : 'That rate belongs to the task: try a policy that was trained at it.',
    });
  }
  const decision = alignRecording(
    {
      name,
      contentHash: '0'.repeat(64),
      robotType,
      fps,
      episodes: 1,
      frames: 1,
      stateNames: [...stateNames],
      actionNames: [...actionNames],
      cameras: [...cameras],
      moments: { state: moments(stateNames), action: moments(actionNames) },
      joints: { state: conventions(stateNames), action: conventions(actionNames) },
    },
    // Where nobody was sure of the units, they are taken for the world's, as they are in an evaluation.
    { ...target, joints: target.joints ?? { state: conventions(target.stateNames), action: conventions(target.actionNames) } },
  );
  if (decision.kind === 'ready') return decision.alignment;
  throw new Zk0Error('ROLLOUT_MISMATCH', `the policy was trained on other recordings than the robot of ${name} gives: ${decision.reason}`, {
    hint: `Try a policy that was trained with the joints ${actionNames.join(', ')}.`,
  });
}

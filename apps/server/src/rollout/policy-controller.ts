import { deriveSeed, Zk0Error, type RgbImage, type WorldInfo } from '@zk0/core';
import { proposeRenames, type Actor, type PolicyFeatures } from '@zk0/policy-smolvla';
import type { Controller } from '@zk0/rollout';

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
 * comes from the trial's seed.
 */
export function policyController(actor: Actor, features: PolicyFeatures, names: CameraNames): Controller {
  return (seed) => {
    actor.reset();
    let step = 0;
    return async ({ state, images, task }) => {
      const lookedAt: Record<string, RgbImage> = {};
      // Read only when the policy looks: a world renders pictures when they are first asked for.
      const observation = {
        state,
        task,
        get images(): Readonly<Record<string, RgbImage>> {
          for (const [key, image] of Object.entries(images)) {
            const name = names.get(key) ?? key;
            if (features.cameras.includes(name)) lookedAt[name] = image;
          }
          return lookedAt;
        },
      };
      return actor.selectAction(observation, { seed: deriveSeed(seed, 'noise', step++) }).catch((error: unknown) => {
        // The trial fails and says so; others may go on.
        if (error instanceof Zk0Error && error.code === 'NOT_FINITE') return new Float32Array(features.actionSize).fill(NaN);
        throw error;
      });
    };
  };
}

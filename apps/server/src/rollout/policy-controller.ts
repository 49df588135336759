import { deriveSeed, InvalidArgumentError, Zk0Error, type RgbImage, type WorldInfo } from '@zk0/core';
import type { Actor, PolicyFeatures } from '@zk0/policy-smolvla';
import type { Controller } from '@zk0/rollout';

/** World camera → policy camera, for those that have different names. */
export type CameraNames = ReadonlyMap<string, string>;

/** Reads `--rename world=policy` flags. */
export function cameraNames(flags: readonly string[]): CameraNames {
  return new Map(
    flags.map((flag) => {
      const [from, to, ...rest] = flag.split('=');
      if (!from || !to || rest.length > 0) throw new InvalidArgumentError(`--rename ${flag} is not understood`, { hint: 'Write --rename <world camera>=<policy camera>.' });
      return [from, to] as const;
    }),
  );
}

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
  const given = world.cameras.map(({ key }) => names.get(key) ?? key);
  const missing = features.cameras.filter((key) => !given.includes(key));
  if (missing.length === 0) return;
  throw new Zk0Error('ROLLOUT_MISMATCH', `the policy takes [${features.cameras.join(', ')}], ${world.name} has [${given.join(', ')}]`, {
    hint: 'Name the cameras of the world as the policy does, with --rename <world camera>=<policy camera>.',
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

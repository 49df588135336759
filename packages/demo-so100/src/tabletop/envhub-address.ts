import { InvalidArgumentError } from '@zk0/core';
import { DemoError } from '../errors.ts';
import { TABLETOP_FPS, TABLETOP_NAME, TABLETOP_REPOSITORY } from './tabletop-task.ts';
import type { TabletopWorldOptions } from './tabletop-world.ts';

export const ENVHUB_SCHEME = 'envhub:';
const SETTINGS = ['height', 'seconds', 'width'] as const;

/**
 * What an address of one of LeRobot's tasks says: `envhub:so101-tabletop-mujoco`, or with the repository's owner; settings such as
 * `?seconds=90` may follow.
 *
 * @throws DemoError `DEMO_TASK_UNKNOWN` for another environment
 * @throws InvalidArgumentError for a setting that is unknown or no number
 */
export function parseEnvhubAddress(address: string): TabletopWorldOptions {
  const [name = '', query = ''] = address.slice(ENVHUB_SCHEME.length).split(/\?(.*)/s);
  if (name !== TABLETOP_NAME && name !== TABLETOP_REPOSITORY) {
    throw new DemoError('DEMO_TASK_UNKNOWN', `of the environments of LeRobot's EnvHub there is ${TABLETOP_NAME} alone here, not ${JSON.stringify(name)}`, {
      hint: `Write ${ENVHUB_SCHEME}${TABLETOP_NAME}, or choose a task of the demo world, such as demo:cube-to-bowl.`,
    });
  }
  const settings: Record<string, number> = {};
  for (const [key, text] of new URLSearchParams(query)) {
    if (key === 'fps') {
      throw new InvalidArgumentError(`${name} has ${TABLETOP_FPS} actions a second, which belongs to the task`, { hint: 'Leave fps= out.' });
    }
    if (!(SETTINGS as readonly string[]).includes(key)) {
      throw new InvalidArgumentError(`${address} has the unknown setting "${key}"`, { hint: `Known are ${SETTINGS.join(', ')}.` });
    }
    if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError(`${address} has ${key}=${text}; it must be a whole number`);
    settings[key] = Number(text);
  }
  return settings;
}

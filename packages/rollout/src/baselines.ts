import { deriveSeed, InvalidArgumentError, Random } from '@zk0/core';
import type { Controller } from './trial.ts';

/** An arm that stays where it is: what succeeds with it proves nothing. */
export const motionless: Controller = (_, world) => {
  const { state } = world.observe();
  return () => state;
};

/**
 * Plays a recording back whatever the robot sees: the bar that anything that looks has to clear. Which recording is drawn
 * anew for every trial.
 *
 * @param recordings actions of demonstrations, each a list of frames
 * @throws InvalidArgumentError without recordings
 */
export function blindReplay(recordings: readonly (readonly ArrayLike<number>[])[]): Controller {
  if (recordings.length === 0) throw new InvalidArgumentError('blind replay needs at least one recording');
  return (seed) => {
    const recording = recordings[new Random(deriveSeed(seed, 'recording')).below(recordings.length)]!;
    let frame = 0;
    return () => recording[frame++];
  };
}

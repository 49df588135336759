import { InvalidArgumentError, type RunConfig } from '@zk0/core';
import { checkRun } from '@zk0/federation';
import { createStrategy, sampleSize } from '@zk0/strategy';
import type * as z from 'zod';
import { runConfigOf } from '../config.ts';
import { simulationSchema } from '../simulate/settings.ts';
import { checkStrategyOptions } from '../strategy-options.ts';
import { fleetSchema, type Fleet } from './fleet.ts';

/** What a settings file of a virtual simulation may hold: a run's settings, and the clients under `virtual`. */
export const virtualSchema = simulationSchema.extend({ virtual: fleetSchema.prefault({}) });

/** Clients of one simulation. */
export const MAX_VIRTUAL_CLIENTS = 100_000;

/** A simulation's settings, checked. */
export interface VirtualSettings {
  readonly config: RunConfig;
  readonly fleet: Fleet;
}

/**
 * The settings of a simulation of so many virtual clients. Unless they say otherwise, half of the updates that a round asks for are enough,
 * because clients vanish.
 *
 * @throws InvalidArgumentError for what a virtual client does not do; Zk0Error when the settings do not go together.
 */
export function virtualSettings(clients: number, { virtual, ...settings }: z.output<typeof virtualSchema>): VirtualSettings {
  refuseUnknown(settings);
  checkStrategyOptions(settings.strategy);
  const strategy = createStrategy(settings.strategy);
  if (strategy.isPrivate) throw unsupported(`strategy ${strategy.name}`, 'the noise of privacy is not seeded, and the same simulation would not come to the same');
  if (strategy.guards.needsControl === true) throw unsupported(`strategy ${strategy.name}`, 'virtual clients keep no control variates');
  const { fraction } = settings;
  const needed = Math.max(strategy.minUpdates, Math.min(2, clients));
  const minClients = settings.minClients ?? Math.max(needed, Math.ceil(sampleSize(clients, fraction, Math.min(needed, clients)) / 2));
  if (minClients > clients) {
    throw new InvalidArgumentError(`minClients is ${minClients}, and the simulation has ${clients} clients`, { hint: 'Raise --clients, or lower minClients or the buffer.' });
  }
  // The loss above the optimum stands where the held-out loss does; nothing is kept but the figures.
  const config = runConfigOf({ ...settings, minClients, policy: 'virtual', keepBest: false, checkpointEvery: settings.rounds }, ['virtual']);
  checkRun(config);
  return { config, fleet: virtual };
}

function refuseUnknown(settings: Omit<z.output<typeof virtualSchema>, 'virtual'>): void {
  const given: readonly (readonly [string, boolean])[] = [
    ['heldOut', settings.heldOut.length > 0],
    ['rollouts', settings.rollouts !== undefined],
    ['pushTo', settings.pushTo !== undefined],
    ['loraRank', settings.loraRank !== undefined],
    ['augment', settings.augment !== undefined],
    ['clientOptimizer keep', settings.clientOptimizer === 'keep'],
    ['updateEncoding', settings.updateEncoding !== 'float32'],
    ['broadcastEncoding', settings.broadcastEncoding !== 'float32'],
    ['secureAggregation', settings.secureAggregation !== undefined],
    ['maxParallel', settings.maxParallel > 0],
  ];
  for (const [name, isGiven] of given) {
    if (isGiven) throw unsupported(name, name.endsWith('Encoding') ? 'say what an update weighs with virtual.megabytesUp and virtual.megabytesDown' : 'virtual clients have no recordings and no policy');
  }
}

function unsupported(what: string, why: string): InvalidArgumentError {
  return new InvalidArgumentError(`${what} has no effect on virtual clients: ${why}`, { hint: 'Leave it out, or simulate real clients, without --virtual.' });
}

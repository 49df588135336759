import { InvalidArgumentError } from '@zk0/core';
import { checkStrategy } from '@zk0/federation';
import { sampleSize } from '@zk0/strategy';
import type * as z from 'zod';
import { configSchema, type Config } from '../config.ts';
import { checkStrategyOptions } from '../strategy-options.ts';

/** Clients of a simulation that does not say. */
export const DEFAULT_CLIENTS = 3;
export const MAX_CLIENTS = 1000;
/** Episodes at the end of each dataset that nobody trains on, unless a simulation says otherwise. */
export const DEFAULT_HOLD_OUT_EPISODES = 2;

/** As everywhere, but how many clients a round needs depends on how many there are. */
export const simulationSchema = configSchema.extend({ minClients: configSchema.shape.minClients.unwrap().optional() });

/** {@link simulationSchema} for clients on such a device: a GPU's memory is for one after the other, unless the settings say otherwise. */
export function simulationSchemaOn(device: string): typeof simulationSchema {
  return simulationSchema.extend({ maxParallel: simulationSchema.shape.maxParallel.unwrap().default(device === 'cpu' ? 0 : 1) });
}

/**
 * The settings of a simulation of so many clients: unless they say otherwise, a round needs an update of every client that it asks.
 *
 * @throws Zk0Error when clients, strategy and its options do not go together
 */
export function checkedSimulation(clients: number, settings: z.output<typeof simulationSchema>): Config {
  const { fraction, minClients = sampleSize(clients, fraction, Math.min(2, clients)) } = settings;
  if (minClients > clients) {
    throw new InvalidArgumentError(`minClients is ${minClients}, and the simulation has ${clients} clients`, {
      hint: 'Raise --clients, or lower minClients.',
    });
  }
  checkStrategyOptions(settings.strategy);
  checkStrategy({ ...settings, minClients });
  return { ...settings, minClients };
}

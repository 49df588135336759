import { compareNames, deriveSeed, InvalidArgumentError, Random } from '@zk0/core';
import type { RoundRecord } from '../contract.ts';
import { TooFewClientsError } from '../errors.ts';

/** A client that could take part in the next round. */
export interface Candidate {
  readonly clientId: string;
  /** Its number of examples, for `weightBy: 'examples'`. */
  readonly numExamples?: number;
}

/** How a round's clients are chosen. */
export interface SelectionOptions {
  /** Clients that are there now, in any order. */
  readonly available: readonly Candidate[];
  /** Fraction of the available clients; 1 by default. */
  readonly fraction?: number;
  /** At least this many; 2 by default. */
  readonly minClients?: number;
  /** Extra clients beyond the sample, as a fraction of it, so that a round survives stragglers; 0 by default. */
  readonly overSelection?: number;
  /** So many, in place of what the three before say; all where fewer are available, and none at 0. */
  readonly count?: number;
  /**
   * How likely a client is: `uniform` (default), by `examples`, or by the training `loss` it last reported (a client that
   * has not reported yet counts as the highest).
   */
  readonly weightBy?: 'uniform' | 'examples' | 'loss';
  /**
   * `fair` (default): a fixed number of clients, and none waits for ever (see {@link selectClients}). `poisson`: each client
   * independently with probability `fraction`, which the privacy accountant needs in order to count sampling in its favour;
   * the list may then have any length, minimums do not apply.
   */
  readonly method?: 'fair' | 'poisson';
  /** The run's seed. */
  readonly seed: string | number;
  /** The round to come, from 1. */
  readonly round: number;
  /** Finished rounds; who took part when is what makes the choice fair. */
  readonly history?: readonly Pick<RoundRecord, 'round' | 'clients'>[];
}

/**
 * Clients that a round needs: `max(⌊available · fraction⌋, minClients)`, as Flower has it.
 *
 * @throws TooFewClientsError when fewer are available.
 */
export function sampleSize(available: number, fraction = 1, minClients = 2): number {
  // 0.29 · 100 is 28.999999999999996: a product this close to a whole number is that number.
  const size = Math.max(Math.floor(available * fraction + 1e-9), minClients);
  if (size > available) throw new TooFewClientsError(available, size);
  return size;
}

/**
 * Chooses the clients of a round. The same arguments give the same choice, whatever the order of `available`.
 *
 * Fair over time: clients are drawn at random by weight, without replacement, but one that has waited for
 * `2·⌈available / sample⌉` rounds comes first, longest wait before shorter. So no client that stays available waits longer
 * than three such turns, however small its weight.
 *
 * @returns Client ids in code-unit order.
 * @throws TooFewClientsError when fewer are available than the round needs.
 */
export function selectClients(options: SelectionOptions): string[] {
  const { fraction = 1, minClients = 2, overSelection = 0, method = 'fair', seed, round, history = [] } = options;
  const candidates = [...options.available].sort((a, b) => compareNames(a.clientId, b.clientId));
  checkOptions(candidates, fraction, minClients, overSelection);
  const random = new Random(deriveSeed(seed, 'select-clients', round));
  if (method === 'poisson') {
    return candidates.filter(() => random.uniform() < fraction).map(({ clientId }) => clientId);
  }
  const count = Math.min(candidates.length, options.count ?? Math.ceil(sampleSize(candidates.length, fraction, minClients) * (1 + overSelection) - 1e-9));
  if (count === 0) return [];
  const patience = 2 * Math.ceil(candidates.length / count);
  const lastRounds = lastParticipation(history);
  const weights = clientWeights(candidates, options.weightBy ?? 'uniform', history);
  const drawn = candidates.map(({ clientId }, index) => {
    const waited = round - (lastRounds.get(clientId) ?? 0);
    // Efraimidis & Spirakis (2006): the largest keys log(u)/w are a weighted sample without replacement.
    const key = Math.log(1 - random.uniform()) / weights[index]!;
    return { clientId, overdue: waited >= patience ? waited : 0, key };
  });
  drawn.sort((a, b) => b.overdue - a.overdue || b.key - a.key || compareNames(a.clientId, b.clientId));
  return drawn
    .slice(0, count)
    .map(({ clientId }) => clientId)
    .sort(compareNames);
}

function checkOptions(candidates: readonly Candidate[], fraction: number, minClients: number, overSelection: number): void {
  if (!(fraction > 0 && fraction <= 1)) throw new InvalidArgumentError(`fraction is ${fraction}, not in (0, 1]`);
  if (!Number.isInteger(minClients) || minClients < 1) throw new InvalidArgumentError(`minClients is ${minClients}`);
  if (!(overSelection >= 0 && overSelection <= 10)) throw new InvalidArgumentError(`overSelection is ${overSelection}, not in [0, 10]`);
  for (const [index, { clientId }] of candidates.entries()) {
    if (candidates[index + 1]?.clientId === clientId) throw new InvalidArgumentError(`client ${clientId} is listed twice`);
  }
}

function lastParticipation(history: readonly Pick<RoundRecord, 'round' | 'clients'>[]): ReadonlyMap<string, number> {
  const last = new Map<string, number>();
  for (const { round, clients } of history) {
    for (const clientId of Object.keys(clients)) last.set(clientId, Math.max(round, last.get(clientId) ?? 0));
  }
  return last;
}

function clientWeights(
  candidates: readonly Candidate[],
  weightBy: 'uniform' | 'examples' | 'loss',
  history: readonly Pick<RoundRecord, 'round' | 'clients'>[],
): readonly number[] {
  if (weightBy === 'uniform') return candidates.map(() => 1);
  if (weightBy === 'examples') {
    return candidates.map(({ clientId, numExamples }) => {
      if (numExamples === undefined || !(numExamples > 0) || !Number.isFinite(numExamples)) {
        throw new InvalidArgumentError(`client ${clientId}: weighting by examples needs its number of examples`);
      }
      return numExamples;
    });
  }
  const losses = new Map<string, number>();
  for (const { clients } of history) {
    for (const [clientId, { loss }] of Object.entries(clients)) {
      if (loss !== null && Number.isFinite(loss)) losses.set(clientId, Math.max(loss, Number.MIN_VALUE));
    }
  }
  const highest = Math.max(1e-8, ...candidates.map(({ clientId }) => losses.get(clientId) ?? 0));
  // A client that is done (loss 0) still gets a share: its data may begin to matter again.
  return candidates.map(({ clientId }) => Math.max(losses.get(clientId) ?? highest, highest * 1e-3));
}

import { deriveSeed, Random } from '@zk0/core';
import { DatasetError } from '../errors.ts';

/** What partitioning needs to know of an episode. */
export interface PartitionEpisode {
  readonly episodeIndex: number;
  /** Frames. */
  readonly length: number;
  readonly tasks: readonly string[];
}

/**
 * How episodes are given to clients.
 *
 * - `modulo`: `episodeIndex % clients`, as the first federated LeRobot trainer did;
 * - `task`: whole tasks to the client with the fewest frames, so that every client sees other tasks;
 * - `size`: shares in proportion to `weights`, by frames;
 * - `dirichlet`: each task split by proportions drawn from Dir(alpha); small alpha makes clients unlike (Hsu et al. 2019).
 */
export type PartitionScheme =
  | { readonly kind: 'modulo' }
  | { readonly kind: 'task' }
  | { readonly kind: 'size'; readonly weights: readonly number[] }
  | { readonly kind: 'dirichlet'; readonly alpha: number; readonly seed: string };

/** What to split and how. */
export interface PartitionOptions {
  readonly clients: number;
  /** Episodes held out for evaluation: the last ones recorded. Default 0. */
  readonly holdOut?: number;
  /** Default `modulo`. */
  readonly scheme?: PartitionScheme;
}

/** Episode numbers, each list ascending; no number is in two places. */
export interface Partition {
  /** One list per client, none empty. */
  readonly clients: readonly (readonly number[])[];
  readonly heldOut: readonly number[];
}

/**
 * Splits episodes between clients and a held-out set. Pure and deterministic.
 *
 * @throws DatasetError `DATASET_EPISODES` when there are too few for every client to get one
 */
export function partitionEpisodes(episodes: readonly PartitionEpisode[], options: PartitionOptions): Partition {
  const { clients, holdOut = 0, scheme = { kind: 'modulo' } } = options;
  if (!Number.isInteger(clients) || clients < 1) throw new RangeError(`clients must be at least 1, not ${clients}`);
  if (!Number.isInteger(holdOut) || holdOut < 0) throw new RangeError(`holdOut must be at least 0, not ${holdOut}`);
  const sorted = [...episodes].sort((a, b) => a.episodeIndex - b.episodeIndex);
  if (sorted.length < clients + holdOut) {
    throw new DatasetError(
      'DATASET_EPISODES',
      `${sorted.length} episodes are too few for ${clients} clients with ${holdOut} held out`,
      { hint: 'Record more episodes, hold fewer out, or run fewer clients.' },
    );
  }
  const training = sorted.slice(0, sorted.length - holdOut);
  const shares = Array.from({ length: clients }, (): PartitionEpisode[] => []);
  assign(training, shares, scheme);
  fillEmpty(shares);
  const partition: Partition = {
    clients: shares.map((share) => share.map((episode) => episode.episodeIndex).sort((a, b) => a - b)),
    heldOut: sorted.slice(training.length).map((episode) => episode.episodeIndex),
  };
  assertDisjoint(partition, sorted.map((episode) => episode.episodeIndex));
  return partition;
}

/**
 * Proves that no episode is in two places and none is lost. A run fails on it rather than train on what it evaluates on.
 *
 * @param all every episode number that was to be split
 * @throws DatasetError `DATASET_OVERLAP` naming the episode
 */
export function assertDisjoint(partition: Partition, all: readonly number[]): void {
  const owner = new Map<number, string>();
  const places = [
    ...partition.clients.map((share, client) => [`client ${client}`, share] as const),
    ['the held-out set', partition.heldOut] as const,
  ];
  for (const [place, share] of places) {
    for (const episode of share) {
      const other = owner.get(episode);
      if (other !== undefined) {
        throw new DatasetError('DATASET_OVERLAP', `Episode ${episode} is given to ${other} and to ${place}`, { episode });
      }
      owner.set(episode, place);
    }
  }
  const lost = all.find((episode) => !owner.has(episode));
  if (lost !== undefined || owner.size !== all.length) {
    throw new DatasetError('DATASET_OVERLAP', `Episode ${lost ?? '(unknown)'} is in no share`);
  }
}

function assign(episodes: readonly PartitionEpisode[], shares: PartitionEpisode[][], scheme: PartitionScheme): void {
  switch (scheme.kind) {
    case 'modulo':
      for (const episode of episodes) shares[episode.episodeIndex % shares.length]!.push(episode);
      return;
    case 'task': {
      const groups = [...byTask(episodes).values()].sort((a, b) => frames(b) - frames(a));
      for (const group of groups) smallest(shares).push(...group);
      return;
    }
    case 'size': {
      const { weights } = scheme;
      if (weights.length !== shares.length || weights.some((weight) => !(weight > 0 && Number.isFinite(weight)))) {
        throw new RangeError(`size needs one positive weight for each of the ${shares.length} clients`);
      }
      const perWeight = frames(episodes) / weights.reduce((sum, weight) => sum + weight, 0);
      for (const episode of episodes) {
        const wanting = shares.map((share, client) => weights[client]! * perWeight - frames(share));
        shares[wanting.indexOf(Math.max(...wanting))]!.push(episode);
      }
      return;
    }
    case 'dirichlet': {
      if (!(scheme.alpha > 0 && Number.isFinite(scheme.alpha))) {
        throw new RangeError(`dirichlet needs a positive alpha, not ${scheme.alpha}`);
      }
      for (const [task, group] of byTask(episodes)) {
        const random = new Random(deriveSeed(scheme.seed, 'partition', task));
        split(random.shuffled(group), proportionsFor(shares.length, scheme.alpha, random), shares);
      }
    }
  }
}

/** Deals a task's episodes out so that each share's part of the frames comes close to its proportion. */
function split(group: readonly PartitionEpisode[], proportions: readonly number[], shares: PartitionEpisode[][]): void {
  const total = frames(group);
  let client = 0;
  let dealt = 0;
  let border = proportions[0]! * total;
  for (const episode of group) {
    while (client < shares.length - 1 && dealt + episode.length / 2 > border) border += proportions[++client]! * total;
    shares[client]!.push(episode);
    dealt += episode.length;
  }
}

/** A draw from the symmetric Dirichlet; where alpha is so small that it underflows, its limit: all to one client. */
function proportionsFor(clients: number, alpha: number, random: Random): readonly number[] {
  const drawn = random.dirichlet(new Array<number>(clients).fill(alpha));
  if (drawn.every(Number.isFinite)) return drawn;
  const winner = random.below(clients);
  return drawn.map((_, client) => (client === winner ? 1 : 0));
}

/** Gives a client without episodes one from the client with the most, so that everybody can train. */
function fillEmpty(shares: PartitionEpisode[][]): void {
  for (const share of shares) {
    if (share.length > 0) continue;
    const largest = shares.reduce((a, b) => (b.length > a.length ? b : a));
    share.push(largest.pop()!);
  }
}

function byTask(episodes: readonly PartitionEpisode[]): Map<string, PartitionEpisode[]> {
  const groups = new Map<string, PartitionEpisode[]>();
  for (const episode of episodes) {
    const task = episode.tasks[0] ?? '';
    const group = groups.get(task);
    if (group === undefined) groups.set(task, [episode]);
    else group.push(episode);
  }
  return groups;
}

function frames(episodes: readonly PartitionEpisode[]): number {
  return episodes.reduce((sum, episode) => sum + episode.length, 0);
}

function smallest(shares: PartitionEpisode[][]): PartitionEpisode[] {
  return shares.reduce((a, b) => (frames(b) < frames(a) ? b : a));
}

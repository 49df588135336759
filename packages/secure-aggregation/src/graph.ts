import { compareNames, InvalidArgumentError, Random } from '@zk0/core';
import { MAX_SHARES } from './shamir.ts';

/** Neighbours that a member can have: it deals a share to each, and one to itself. */
export const MAX_DEGREE = MAX_SHARES - 1;

/** What may go wrong among the members of a sum, and how unlikely it is to be that it suffices. */
export interface DegreeOptions {
  /** Part of the members that tells the server all it knows (0.1). */
  readonly colluding?: number;
  /** Part of the members that drops out (0.2). */
  readonly dropouts?: number;
  /** A member is exposed in at most one of 2 to the power of this many rounds (40). */
  readonly securityBits?: number;
  /** A round cannot be finished in at most one of 2 to the power of this many (20). */
  readonly failureBits?: number;
  /** The part of the holders of a secret that it needs more than (½). */
  readonly threshold?: number;
}

/**
 * Shares that give a secret: more than `threshold` of its holders. More than half, always: there are no two groups of holders without one in
 * common then, and an honest holder gives away one of a member's two secrets only.
 *
 * @param holders the member itself and its neighbours.
 */
export function sharesNeeded(holders: number, threshold = 0.5): number {
  return Math.min(holders, Math.floor(holders * threshold + 1e-9) + 1);
}

/**
 * The fewest neighbours with which a random graph of `members` does what is asked of it (SecAgg+; Bell et al., 2020, section 3): no member
 * has enough colluding neighbours to give away its secrets, everyone keeps enough neighbours that do not drop out, and those who are honest
 * and stay are connected. All others where that is no fewer.
 *
 * @throws InvalidArgumentError where it would be more than {@link MAX_DEGREE}.
 */
export function degreeFor(members: number, options: DegreeOptions = {}): number {
  const { colluding = 0.1, dropouts = 0.2, securityBits = 40, failureBits = 20, threshold = 0.5 } = options;
  const others = members - 1;
  const [bad, gone] = [Math.ceil(colluding * members), Math.ceil(dropouts * members)];
  for (let degree = 2; degree < others && degree <= MAX_DEGREE; degree += 2) {
    const needed = sharesNeeded(degree + 1, threshold);
    const exposed = members * upperTail(others, bad, degree, needed);
    const stuck = members * upperTail(others, gone, degree, degree + 1 - needed + 1);
    // Cut in two: in a ring, so many in a row on both sides of somebody are colluding or gone.
    const cut = members * (colluding + dropouts) ** (degree / 2);
    if (exposed <= 2 ** -securityBits && stuck <= 2 ** -failureBits && cut <= 2 ** -securityBits) return degree;
  }
  if (others <= MAX_DEGREE) return others;
  throw new InvalidArgumentError(`${members} members need more than ${MAX_DEGREE} neighbours each`, { hint: 'Ask fewer clients, or assume fewer of them to collude or drop out.' });
}

/**
 * Who shares a mask with whom: members in random order on a ring, each beside `degree / 2` on either side (a Harary graph with its vertices
 * shuffled); everybody with everybody where `degree` is one less than the members. Lists are in the order of names.
 *
 * @param seed where the order comes from; those who might collude must not know it when they join.
 */
export function neighbourGraph(members: readonly string[], degree: number, seed: string): ReadonlyMap<string, readonly string[]> {
  const sorted = [...new Set(members)].sort(compareNames);
  if (degree >= sorted.length - 1) return new Map(sorted.map((member) => [member, sorted.filter((other) => other !== member)]));
  if (!(Number.isInteger(degree) && degree >= 2 && degree % 2 === 0)) throw new InvalidArgumentError(`${degree} neighbours of ${sorted.length} members: an even number is needed`);
  const ring = new Random(seed).shuffled(sorted);
  const steps = Array.from({ length: degree / 2 }, (_, index) => index + 1);
  return new Map(
    ring.map((member, at) => {
      const neighbours = steps.flatMap((step) => [ring[(at + step) % ring.length]!, ring[(at - step + ring.length) % ring.length]!]);
      return [member, neighbours.sort(compareNames)];
    }),
  );
}

/** The probability that of `draws` out of `size`, of which `marked` are marked, `least` or more are. */
function upperTail(size: number, marked: number, draws: number, least: number): number {
  let sum = 0;
  for (let count = Math.max(least, draws - (size - marked)); count <= Math.min(draws, marked); count++) {
    sum += Math.exp(logChoose(marked, count) + logChoose(size - marked, draws - count) - logChoose(size, draws));
  }
  return sum;
}

function logChoose(size: number, count: number): number {
  let sum = 0;
  for (let index = 1; index <= count; index++) sum += Math.log((size - count + index) / index);
  return sum;
}

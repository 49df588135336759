import { randomBytes } from 'node:crypto';
import { SecureAggregationError } from './errors.ts';
import { sharesNeeded } from './graph.ts';
import { agree, generateKeyPair, KEY_BYTES, publicKeyOf, type KeyPair } from './keys.ts';
import { Masks, MaskStream } from './mask-stream.ts';
import { seal, unseal } from './seal.ts';
import { hashSeed, holdersOf, pairMaskKey, pairSign, selfMaskKey, type PublicKeys } from './secrets.ts';
import { splitSecret } from './shamir.ts';

/** Where and who: the same words on both sides. */
export interface Seat {
  /** Names the sum among all others: run and round. */
  readonly context: string;
  readonly member: string;
}

/** What a member draws for one sum and tells nobody. */
export interface MemberSecrets {
  readonly encryption: KeyPair;
  readonly masking: KeyPair;
  /** Of the mask of its own. */
  readonly seed: Uint8Array;
}

/** One holder's share of a member's two secrets, 32 bytes each. */
export interface SharePair {
  readonly seed: Uint8Array;
  readonly key: Uint8Array;
}

/** Fewest holders of a secret: of two members each takes its own vector from the sum, and has the other's. */
export const MIN_HOLDERS = 3;

/** Draws the secrets of a member for one sum. */
export function drawSecrets(): MemberSecrets {
  return { encryption: generateKeyPair(), masking: generateKeyPair(), seed: randomBytes(KEY_BYTES) };
}

/** What of them is made known. */
export function advertise({ encryption, masking, seed }: MemberSecrets): PublicKeys {
  return { encryption: encryption.publicKey, masking: masking.publicKey, seedHash: hashSeed(seed) };
}

/**
 * Deals shares of a member's secrets: one to each neighbour, sealed, so that the server passes on what it cannot read; and one to the member
 * itself.
 *
 * @param neighbours with the keys that they made known.
 * @param needed shares that give a secret: more than half of the holders.
 * @throws SecureAggregationError `SECURE_REQUEST_REFUSED` when the graph or the threshold would expose the member.
 */
export function dealShares(
  { context, member }: Seat,
  secrets: MemberSecrets,
  neighbours: ReadonlyMap<string, PublicKeys>,
  needed: number,
): { readonly own: SharePair; readonly sealed: ReadonlyMap<string, Uint8Array> } {
  const holders = holdersOf(member, [...neighbours.keys()]);
  if (neighbours.has(member) || holders.length < MIN_HOLDERS) throw refused(`a sum with ${neighbours.size} neighbours`, 'it needs two others at least');
  if (needed < sharesNeeded(holders.length) || needed > holders.length) throw refused(`${needed} of ${holders.length} shares to give a secret`, 'it must be more than half');
  const keys = [...neighbours.values()].flatMap(({ encryption, masking }) => [encryption, masking].map((key) => Buffer.from(key).toString('hex')));
  if (new Set(keys).size !== keys.length) throw refused('the same key of two neighbours', 'each must have its own');
  const [seeds, privates] = [secrets.seed, secrets.masking.privateKey].map((secret) => splitSecret(secret, holders.length, needed));
  const sealed = new Map<string, Uint8Array>();
  let own: SharePair | undefined;
  for (const [index, holder] of holders.entries()) {
    const pair: SharePair = { seed: seeds![index]!.bytes, key: privates![index]!.bytes };
    if (holder === member) own = pair;
    else sealed.set(holder, seal(Buffer.concat([pair.seed, pair.key]), sealingKey(secrets, neighbours.get(holder)!), about(context, member, holder)));
  }
  return { own: own!, sealed };
}

/** Opens the share that a neighbour sealed for this member. @throws SecureAggregationError `SECURE_SHARE_INVALID` */
export function openShare({ context, member }: Seat, secrets: MemberSecrets, from: string, keys: PublicKeys, sealed: Uint8Array): SharePair {
  const bytes = unseal(sealed, sealingKey(secrets, keys), about(context, from, member));
  if (bytes.length !== 2 * KEY_BYTES) throw new SecureAggregationError('SECURE_SHARE_INVALID', `the share of ${from} has ${bytes.length} bytes, not ${2 * KEY_BYTES}`);
  return { seed: bytes.subarray(0, KEY_BYTES), key: bytes.subarray(KEY_BYTES) };
}

/**
 * The masks of a member's vector: its own, and one with each neighbour that takes part.
 *
 * @param present the neighbours whose shares this member holds, with their keys.
 * @param needed shares that give a secret; as many holders must be there.
 * @throws SecureAggregationError `SECURE_TOO_FEW`
 */
export function masksOf({ context, member }: Seat, secrets: MemberSecrets, present: ReadonlyMap<string, PublicKeys>, needed: number): Masks {
  if (present.size + 1 < Math.max(needed, MIN_HOLDERS)) {
    throw new SecureAggregationError('SECURE_TOO_FEW', `${present.size + 1} of the holders of this member's secrets are there, ${Math.max(needed, MIN_HOLDERS)} are needed`);
  }
  const pairs = [...present].map(([other, { masking }]) => {
    const key = pairMaskKey(secrets.masking.privateKey, masking, context, [member, other]);
    return new MaskStream(key, pairSign(member, other));
  });
  return new Masks([new MaskStream(selfMaskKey(secrets.seed, context), 1), ...pairs]);
}

/** What a server asks of a member once the vectors are in. */
export interface UnmaskRequest {
  /** Whose vectors are in the sum: their own masks are to be taken away. */
  readonly survivors: readonly string[];
  /** Whose are not, although others have masks with them. */
  readonly dropped: readonly string[];
}

/** What it is told: of each of those, one of the two secrets. */
export interface UnmaskAnswer {
  readonly seeds: ReadonlyMap<string, Uint8Array>;
  readonly keys: ReadonlyMap<string, Uint8Array>;
}

/**
 * Answers a server's request, or refuses what would open a single vector.
 *
 * The caller keeps the request before the answer leaves, and hands it in as `before` ever after: a second request for the same sum with
 * other survivors is refused, for between the two sums lies the vector of one member.
 *
 * @param shares the shares that this member holds, its own among them.
 * @throws SecureAggregationError `SECURE_REQUEST_REFUSED`
 */
export function answerUnmask(
  { member }: Pick<Seat, 'member'>,
  shares: ReadonlyMap<string, SharePair>,
  needed: number,
  request: UnmaskRequest,
  before: UnmaskRequest | null,
): UnmaskAnswer {
  const { survivors, dropped } = request;
  const named = [...survivors, ...dropped];
  if (new Set(named).size !== named.length) throw refused('both secrets of one member', 'together they open its vector');
  if (before !== null && !(sameNames(before.survivors, survivors) && sameNames(before.dropped, dropped))) {
    throw refused('the secrets of other members than before, for the same sum', 'between two sums lies the vector of one member');
  }
  if (!survivors.includes(member)) throw refused('secrets of a sum without this member', 'it takes part in none');
  if (survivors.length < Math.max(needed, MIN_HOLDERS)) throw refused(`the secrets of ${survivors.length} members`, `a sum has ${Math.max(needed, MIN_HOLDERS)} at least`);
  if (named.length !== shares.size || named.some((other) => !shares.has(other))) throw refused('the secrets of others than those that take part', 'each of them has its vector in the sum, or has dropped out');
  return {
    seeds: new Map(survivors.map((other) => [other, shares.get(other)!.seed])),
    keys: new Map(dropped.map((other) => [other, shares.get(other)!.key])),
  };
}

/** Restores a key pair from its private part. */
export function keyPairOf(privateKey: Uint8Array): KeyPair {
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}

function sealingKey({ encryption }: MemberSecrets, keys: PublicKeys): Uint8Array {
  return agree(encryption.privateKey, keys.encryption, 'share', KEY_BYTES);
}

function about(context: string, from: string, to: string): string {
  return JSON.stringify([context, from, to]);
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name));
}

function refused(what: string, why: string): SecureAggregationError {
  return new SecureAggregationError('SECURE_REQUEST_REFUSED', `the server asks for ${what}: ${why}`, {
    hint: 'Ask the operator of the server: an honest one of the same release does not ask for that.',
  });
}

import { SecureAggregationError } from './errors.ts';
import { publicKeyOf } from './keys.ts';
import { Masks, MaskStream } from './mask-stream.ts';
import { MIN_HOLDERS, type UnmaskAnswer } from './member.ts';
import { hashSeed, holdersOf, pairMaskKey, pairSign, selfMaskKey, type PublicKeys } from './secrets.ts';
import { combineShares, type Share } from './shamir.ts';

/** What a server knows of a sum when its vectors are in. */
export interface SumRecord {
  readonly context: string;
  /** Who shares masks with whom, as it was when shares were dealt. */
  readonly graph: ReadonlyMap<string, readonly string[]>;
  /** Who has masked its vector, or was to: everybody whose shares were passed on. */
  readonly members: readonly string[];
  /** Of those, whose vectors are in the sum. */
  readonly survivors: readonly string[];
  readonly keys: ReadonlyMap<string, PublicKeys>;
  /** Shares that give a secret, by its owner. */
  readonly needed: (member: string) => number;
}

/** Windows of shares that are tried before a secret is given up: some holder may have sent a wrong one. */
const MAX_ATTEMPTS = 64;

/**
 * Whether a sum can be unmasked if all survivors answer: of each secret that is to be recovered, enough holders are among them, and each
 * survivor is among so many that it answers at all. Until it is so, more vectors are to be waited for.
 */
export function hasEnoughSurvivors(record: SumRecord): boolean {
  const survivors = new Set(record.survivors);
  return secretsToRecover(record).every((owner) => {
    const needed = record.needed(owner);
    const present = holdersOf(owner, record.graph.get(owner)!).filter((holder) => survivors.has(holder)).length;
    return present >= (survivors.has(owner) ? Math.max(needed, MIN_HOLDERS) : needed);
  });
}

/** Whether a sum can be unmasked with what these members have answered. */
export function isRecoverable(record: SumRecord, answered: ReadonlySet<string>): boolean {
  return secretsToRecover(record).every((owner) => holdersOf(owner, record.graph.get(owner)!).filter((holder) => answered.has(holder)).length >= record.needed(owner));
}

/**
 * What takes the masks from the sum of the survivors' vectors: the mask of each survivor, and those that survivors share with members who
 * have dropped out.
 *
 * @throws SecureAggregationError `SECURE_TOO_FEW` for a secret that too few holders gave a share of; `SECURE_SHARE_INVALID` when they do not
 * give the secret that its owner promised.
 */
export function recoverMasks(record: SumRecord, answers: ReadonlyMap<string, UnmaskAnswer>): Masks {
  const { context, graph, keys } = record;
  const survivors = new Set(record.survivors);
  const streams = secretsToRecover(record).flatMap((owner): MaskStream[] => {
    const { seedHash, masking } = keys.get(owner)!;
    if (survivors.has(owner)) {
      const seed = recover(record, owner, 'seeds', answers, (secret) => Buffer.compare(hashSeed(secret), seedHash) === 0);
      return [new MaskStream(selfMaskKey(seed, context), -1)];
    }
    const key = recover(record, owner, 'keys', answers, (secret) => Buffer.compare(publicKeyOf(secret), masking) === 0);
    return graph.get(owner)!.filter((other) => survivors.has(other)).map((other) => {
      const shared = pairMaskKey(key, keys.get(other)!.masking, context, [owner, other]);
      return new MaskStream(shared, pairSign(other, owner) === 1 ? -1 : 1);
    });
  });
  return new Masks(streams);
}

/** Survivors, and of those who dropped out the ones that have a mask with a survivor. */
function secretsToRecover({ graph, members, survivors }: SumRecord): string[] {
  const present = new Set(survivors);
  return members.filter((member) => present.has(member) || graph.get(member)!.some((other) => present.has(other)));
}

function sharesOf({ graph }: SumRecord, owner: string, kind: 'seeds' | 'keys', answers: ReadonlyMap<string, UnmaskAnswer>): Share[] {
  return holdersOf(owner, graph.get(owner)!).flatMap((holder, index): Share[] => {
    const bytes = answers.get(holder)?.[kind].get(owner);
    return bytes === undefined ? [] : [{ point: index + 1, bytes }];
  });
}

function recover(record: SumRecord, owner: string, kind: 'seeds' | 'keys', answers: ReadonlyMap<string, UnmaskAnswer>, isRight: (secret: Uint8Array) => boolean): Uint8Array {
  const shares = sharesOf(record, owner, kind, answers);
  const needed = record.needed(owner);
  if (shares.length < needed) {
    throw new SecureAggregationError('SECURE_TOO_FEW', `${shares.length} of ${needed} shares needed came of a secret of member ${owner}`, {
      hint: 'Too many clients dropped out of the round; the next one may go well.',
    });
  }
  const windows = shares.length === needed ? 1 : Math.min(shares.length, MAX_ATTEMPTS);
  for (let first = 0; first < windows; first++) {
    const chosen = Array.from({ length: needed }, (_, index) => shares[(first + index) % shares.length]!);
    const secret = combineShares(chosen);
    if (isRight(secret)) return secret;
  }
  throw new SecureAggregationError('SECURE_SHARE_INVALID', `the shares of member ${owner} do not give the secret that it promised`, {
    hint: 'One of its holders, or the member itself, sent something else than its share: run the same release everywhere.',
  });
}

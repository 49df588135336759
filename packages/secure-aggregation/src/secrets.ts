import { createHash } from 'node:crypto';
import { compareNames } from '@zk0/core';
import { agree, derive } from './keys.ts';
import { MASK_KEY_BYTES } from './mask-stream.ts';

/** What a member lets everybody know. */
export interface PublicKeys {
  /** Under which shares are sent to it: X25519, 32 bytes. */
  readonly encryption: Uint8Array;
  /** From which its pairwise masks are agreed on; the private part is what is recovered when it drops out. */
  readonly masking: Uint8Array;
  /** SHA-256 of the seed of its own mask: what is recovered of it must have this hash. */
  readonly seedHash: Uint8Array;
}

/** The hash that a member promises its seed by. */
export function hashSeed(seed: Uint8Array): Uint8Array {
  return createHash('sha256').update('zk0 mask seed').update(seed).digest();
}

/** The key of the stream that a member masks its own vector with. */
export function selfMaskKey(seed: Uint8Array, context: string): Uint8Array {
  return derive(seed, JSON.stringify(['self', context]), MASK_KEY_BYTES);
}

/** The key of the stream that one of two members adds, and the other takes away; the same whichever computes it. */
export function pairMaskKey(privateKey: Uint8Array, publicKey: Uint8Array, context: string, pair: readonly [string, string]): Uint8Array {
  return agree(privateKey, publicKey, JSON.stringify(['pair', context, ...[...pair].sort(compareNames)]), MASK_KEY_BYTES);
}

/** Whether `member` adds the stream that it shares with `other`, or takes it away. */
export function pairSign(member: string, other: string): 1 | -1 {
  return compareNames(member, other) < 0 ? 1 : -1;
}

/** A member and its neighbours, in the order in which its shares are dealt: the first gets the point 1, the next 2. */
export function holdersOf(member: string, neighbours: readonly string[]): readonly string[] {
  return [member, ...neighbours].sort(compareNames);
}

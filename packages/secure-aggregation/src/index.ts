/**
 * @module
 * Sums of vectors of which nobody sees one: pairwise masks over the integers modulo 2³², secret shares, recovery of dropouts
 * (Bonawitz et al., 2017; Bell et al., 2020). Pure: messages and vectors come and go through arguments.
 */
export { SecureAggregationError, type SecureAggregationErrorCode } from './errors.ts';
export { combineShares, MAX_SHARES, splitSecret, type Share } from './shamir.ts';
export { isUsable, KEY_BYTES, type KeyPair } from './keys.ts';
export { SEAL_BYTES } from './seal.ts';
export { MASK_BLOCK, Masks } from './mask-stream.ts';
export { largestError, MAX_CLIENTS, meanInto, quantizeInto, quantizeWeight, stepsOf, totalWeight, type Quantization } from './quantization.ts';
export { degreeFor, MAX_DEGREE, neighbourGraph, sharesNeeded, type DegreeOptions } from './graph.ts';
export { holdersOf, type PublicKeys } from './secrets.ts';
export {
  advertise,
  answerUnmask,
  dealShares,
  drawSecrets,
  keyPairOf,
  masksOf,
  MIN_HOLDERS,
  openShare,
  type MemberSecrets,
  type Seat,
  type SharePair,
  type UnmaskAnswer,
  type UnmaskRequest,
} from './member.ts';
export { checkSignedKeys, signKeys, type KeySignature } from './signed-keys.ts';
export { hasEnoughSurvivors, isRecoverable, recoverMasks, type SumRecord } from './recovery.ts';

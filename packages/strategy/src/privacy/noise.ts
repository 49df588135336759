import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { InvalidArgumentError } from '@zk0/core';

/** Least length of a secret that noise comes from. */
export const NOISE_SECRET_BYTES = 32;
/** Of AES-256. */
const KEY_BYTES = 32;
/** Each value takes 64 bits of keystream, two values one block of AES. */
const VALUE_BYTES = 8;
/** Values drawn at a time; bounds the keystream in memory. */
const PIECE = 4096;

/**
 * A fresh secret of {@link NOISE_SECRET_BYTES} from the operating system's generator. Keep it beside the state of the run and nowhere
 * else: with it, whoever has the result can take the noise off again.
 */
export function createNoiseSecret(): Uint8Array {
  return new Uint8Array(randomBytes(NOISE_SECRET_BYTES));
}

/**
 * A key for one purpose: HKDF-SHA-256 (RFC 5869) of a secret, without salt; `info` is the JSON of the purpose's parts as strings.
 * Other parts give unrelated keys, the same parts the same key for ever.
 *
 * @throws InvalidArgumentError when the secret is too short.
 */
export function deriveNoiseKey(secret: Uint8Array, ...purpose: readonly (string | number)[]): Uint8Array {
  if (!(secret instanceof Uint8Array) || secret.byteLength < NOISE_SECRET_BYTES) {
    throw new InvalidArgumentError(`a noise secret has at least ${NOISE_SECRET_BYTES} bytes`, { hint: 'Make one with createNoiseSecret().' });
  }
  const info = JSON.stringify(['zk0 noise 1', ...purpose.map(String)]);
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), info, KEY_BYTES));
}

/**
 * Adds `sigma`·N(0, 1) to each value. Value i of a key's stream is the same whatever part of the stream is drawn, so noise depends neither
 * on how a tensor is cut into pieces nor on threads.
 *
 * The stream is the keystream of AES-256 in counter mode. Values `2j` and `2j + 1` are the cosine and the sine branch of Box and Muller
 * (1958) on the block's two 64-bit words, little-endian: `r = √(−2·ln((a + 1)/2⁵³))`, `φ = 2π·b/2⁵³`, a and b their upper 53 bits. So
 * |value| is at most 8.58.
 *
 * @param offset - position of the first value in the stream; even.
 */
export function addGaussian(key: Uint8Array, offset: number, sigma: number, values: Float64Array): void {
  for (let start = 0; start < values.length; start += PIECE) {
    addPiece(key, offset + start, sigma, values.subarray(start, Math.min(values.length, start + PIECE)));
  }
}

function addPiece(key: Uint8Array, offset: number, sigma: number, values: Float64Array): void {
  const words = keystream(key, offset, values.length);
  for (let index = 0; index < values.length; index += 2) {
    const at = 2 * index;
    // The upper 53 bits of two little-endian words of 64.
    const a = words[at + 1]! * 2_097_152 + (words[at]! >>> 11);
    const b = words[at + 3]! * 2_097_152 + (words[at + 2]! >>> 11);
    const radius = sigma * Math.sqrt(-2 * Math.log((a + 1) / 9_007_199_254_740_992));
    const angle = (2 * Math.PI * b) / 9_007_199_254_740_992;
    values[index]! += radius * Math.cos(angle);
    if (index + 1 < values.length) values[index + 1]! += radius * Math.sin(angle);
  }
}

/** The keystream of `count` values from an even offset on, as 32-bit words. */
function keystream(key: Uint8Array, offset: number, count: number): Uint32Array {
  if (offset % 2 !== 0) throw new InvalidArgumentError(`noise from value ${offset} on: pieces begin at even positions`);
  const block = offset / 2;
  const counter = new DataView(new ArrayBuffer(16));
  counter.setBigUint64(8, BigInt(block));
  const pairs = Math.ceil(count / 2);
  const stream = createCipheriv('aes-256-ctr', key, new Uint8Array(counter.buffer)).update(new Uint8Array(2 * pairs * VALUE_BYTES));
  // A buffer of the pool may lie anywhere; a view of words needs a multiple of four.
  const aligned = stream.byteOffset % 4 === 0 ? stream : new Uint8Array(stream);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, 4 * pairs);
}

import { roundToSteps } from './blocks.ts';
import { COARSE_BLOCK, LEVELS } from './container.ts';

/** Codes of a block that follow each other are packed in pairs, and pairs are what is entropy-coded. */
const SIDE = 2 * LEVELS.compressed + 1;
/** Huffman codes take so much more than the entropy of the pairs of a whole update. */
const HUFFMAN = 1.01;
/** Of the interval of 2^-24 to 2^8. */
const HALVINGS = 24;

/**
 * The coarse step with which values take a given number of bits each.
 *
 * @param sample blocks of values, in units of what their steps are a share of.
 * @param bits for each value; above 0.
 * @returns a step in the units of the sample, 2^-24 to 2^8.
 */
export function stepFor(sample: readonly Float64Array[], bits: number): number {
  const codes = new Int8Array(COARSE_BLOCK);
  const exponents = new Uint8Array(1);
  // The logarithm of the step: a larger one takes fewer bits.
  let [low, high] = [-24, 8];
  for (let halving = 0; halving < HALVINGS; halving++) {
    const middle = (low + high) / 2;
    const counts = new Float64Array(SIDE ** 2);
    for (const block of sample) {
      const own = codes.subarray(0, block.length);
      roundToSteps(block, 2 ** middle, own, exponents, { products: 0, squares: 0 });
      count(own, counts);
    }
    if (bitsOf(counts) > bits) low = middle;
    else high = middle;
  }
  return 2 ** high;
}

function count(codes: Int8Array, counts: Float64Array): void {
  for (let index = 0; index + 1 < codes.length; index += 2) counts[(codes[index]! + LEVELS.compressed) * SIDE + codes[index + 1]! + LEVELS.compressed]! += 1;
}

/** Bits for each code, from the entropy of pairs. */
function bitsOf(counts: Float64Array): number {
  let [pairs, entropy] = [0, 0];
  for (const times of counts) pairs += times;
  for (const times of counts) if (times > 0) entropy -= times * Math.log2(times / pairs);
  return pairs === 0 ? 0 : (HUFFMAN * entropy) / (2 * pairs);
}

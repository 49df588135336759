/**
 * The arithmetic of clipping, FedProx, SCAFFOLD and AdamW over float32 arrays, one range at a time, four elements at once in
 * WebAssembly: a loop in JavaScript takes three times as long, for V8 computes in float64 and element by element. Rounded
 * to float32 after every operation, as PyTorch's kernels are, and to the same bits on every machine.
 *
 * The arrays lie anywhere, so ranges are copied into a small memory that stays in the processor's cache, and back.
 */
import { eachVector, f32x4, f64x2, get, instantiate, load, set, store, upperHalf, type Code } from './wasm.ts';
import type { AdamWCoefficients, AdamWSettings } from './update-rules.ts';

/** Elements of each array that are worked on at a time: four times 64 KB fit every second-level cache. */
const STAGE = 1 << 14;
const STAGE_BYTES = 4 * STAGE;

/** Where the arrays of a range lie in the memory. */
const [WEIGHTS, GRADIENTS, FIRST, SECOND] = [0, STAGE_BYTES, 2 * STAGE_BYTES, 3 * STAGE_BYTES] as const;
/** Both terms that are added to gradients come before the moments are touched. */
const [REFERENCE, CORRECTION, SUMS] = [FIRST, FIRST, SECOND] as const;

/** `bytes` is the length of the range, a multiple of 16. */
interface Kernels {
  squares(bytes: number): number;
  proximal(bytes: number, mu: number): number;
  correct(bytes: number, rate: number): number;
  adamw(
    bytes: number, clip: number, beta1: number, rest1: number, beta2: number, rest2: number,
    decay: number, scale: number, floor: number,
  ): void;
}

/** Adds the squares of a vector to the two float64 sums in `sum`. */
function addSquares(sum: number, x: number): Code {
  const square = (half: Code): Code => f64x2.mul(half, half);
  const [low, high] = [f64x2.promoteLow(get(x)), f64x2.promoteLow(upperHalf(get(x)))];
  return set(sum, f64x2.add(get(sum), f64x2.add(square(low), square(high))));
}

function squares(): Code {
  const [bytes, at, x, sum] = [0, 1, 2, 3];
  return [...eachVector(at, bytes, [set(x, load(at, GRADIENTS)), addSquares(sum, x)]), ...f64x2.sum(sum)];
}

function proximal(): Code {
  const [bytes, mu, at, drift, sum] = [0, 1, 2, 3, 4];
  const loop = eachVector(at, bytes, [
    set(drift, f32x4.sub(load(at, WEIGHTS), load(at, REFERENCE))),
    store(at, GRADIENTS, f32x4.add(load(at, GRADIENTS), f32x4.mul(f32x4.splat(get(mu)), get(drift)))),
    addSquares(sum, drift),
  ]);
  return [...loop, ...f64x2.sum(sum)];
}

function correct(): Code {
  const [bytes, rate, at, gradient, sum] = [0, 1, 2, 3, 4];
  const loop = eachVector(at, bytes, [
    set(gradient, load(at, GRADIENTS)),
    store(at, SUMS, f32x4.add(load(at, SUMS), f32x4.mul(f32x4.splat(get(rate)), get(gradient)))),
    set(gradient, f32x4.add(get(gradient), load(at, CORRECTION))),
    store(at, GRADIENTS, get(gradient)),
    addSquares(sum, gradient),
  ]);
  return [...loop, ...f64x2.sum(sum)];
}

function adamw(): Code {
  const bytes = 0;
  const [at, gradient, mean, square] = [9, 10, 11, 12];
  const [clip, beta1, rest1, beta2, rest2, decay, scale, floor] = [1, 2, 3, 4, 5, 6, 7, 8].map((parameter) => f32x4.splat(get(parameter))) as [
    Code, Code, Code, Code, Code, Code, Code, Code,
  ];
  const step = f32x4.div(f32x4.mul(scale, get(mean)), f32x4.add(f32x4.sqrt(get(square)), floor));
  return eachVector(at, bytes, [
    set(gradient, f32x4.mul(load(at, GRADIENTS), clip)),
    set(mean, f32x4.add(f32x4.mul(beta1, load(at, FIRST)), f32x4.mul(rest1, get(gradient)))),
    set(square, f32x4.add(f32x4.mul(beta2, load(at, SECOND)), f32x4.mul(f32x4.mul(rest2, get(gradient)), get(gradient)))),
    store(at, FIRST, get(mean)),
    store(at, SECOND, get(square)),
    store(at, WEIGHTS, f32x4.sub(f32x4.mul(load(at, WEIGHTS), decay), step)),
  ]);
}

interface Stage {
  readonly kernels: Kernels;
  /** The memory as numbers, from each of its places on. */
  readonly at: Readonly<Record<number, Float32Array>>;
}

let stage: Stage | undefined;

/** This thread's memory and functions. */
function open(): Stage {
  if (stage !== undefined) return stage;
  const { memory, exports } = instantiate(
    [
      { name: 'squares', parameters: ['i32'], locals: ['i32', 'v128', 'v128'], result: 'f64', body: squares() },
      { name: 'correct', parameters: ['i32', 'f32'], locals: ['i32', 'v128', 'v128'], result: 'f64', body: correct() },
      { name: 'proximal', parameters: ['i32', 'f32'], locals: ['i32', 'v128', 'v128'], result: 'f64', body: proximal() },
      {
        name: 'adamw',
        parameters: ['i32', 'f32', 'f32', 'f32', 'f32', 'f32', 'f32', 'f32', 'f32'],
        locals: ['i32', 'v128', 'v128', 'v128'],
        body: adamw(),
      },
    ],
    4 * STAGE_BYTES,
  );
  const places = [WEIGHTS, GRADIENTS, FIRST, SECOND];
  const at = Object.fromEntries(places.map((place) => [place, new Float32Array(memory, place, STAGE)]));
  stage = { kernels: exports as Kernels, at };
  return stage;
}

/** Runs `work` on a range, stage by stage: `read` arrays are copied in, `written` ones back. */
function inStages(
  begin: number,
  end: number,
  read: readonly (readonly [place: number, array: Float32Array])[],
  written: readonly (readonly [place: number, array: Float32Array])[],
  work: (kernels: Kernels, bytes: number) => void,
): void {
  const { kernels, at } = open();
  for (let from = begin; from < end; from += STAGE) {
    const count = Math.min(STAGE, end - from);
    const whole = (count + 3) & ~3;
    for (const [place, array] of read) {
      at[place]!.set(array.subarray(from, from + count));
      at[place]!.fill(0, count, whole);
    }
    work(kernels, 4 * whole);
    for (const [place, array] of written) array.set(at[place]!.subarray(0, count), from);
  }
}

/** Sum of squares of a range, in float64. */
export function sumOfSquares(x: Float32Array, begin: number, end: number): number {
  let sum = 0;
  inStages(begin, end, [[GRADIENTS, x]], [], (kernels, bytes) => (sum += kernels.squares(bytes)));
  return sum;
}

/**
 * Adds the proximal term's gradient `mu · (w − reference)` to `g` (FedProx, Li et al. 2020).
 *
 * @returns the sum of squares of `w − reference`.
 */
export function addProximal(
  g: Float32Array,
  w: Float32Array,
  reference: Float32Array,
  mu: number,
  begin: number,
  end: number,
): number {
  let sum = 0;
  const read = [[WEIGHTS, w], [GRADIENTS, g], [REFERENCE, reference]] as const;
  inStages(begin, end, read, [[GRADIENTS, g]], (kernels, bytes) => (sum += kernels.proximal(bytes, mu)));
  return sum;
}

/**
 * SCAFFOLD: adds `rate · g` to `sums`, then `correction` to `g`.
 *
 * @returns the sum of squares of the corrected gradients, so that nothing has to read them again for their norm.
 */
export function correctGradients(
  g: Float32Array,
  correction: Float32Array,
  sums: Float32Array,
  rate: number,
  begin: number,
  end: number,
): number {
  let squares = 0;
  const read = [[GRADIENTS, g], [CORRECTION, correction], [SUMS, sums]] as const;
  inStages(begin, end, read, [[GRADIENTS, g], [SUMS, sums]], (kernels, bytes) => (squares += kernels.correct(bytes, rate)));
  return squares;
}

/** One AdamW update of a range (Loshchilov & Hutter 2019, in the order of `torch.optim.AdamW`). */
export function adamWUpdate(
  w: Float32Array,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  { betas, epsilon }: AdamWSettings,
  { decay, stepSize, rootCorrection }: AdamWCoefficients,
  clip: number,
  begin: number,
  end: number,
): void {
  const [beta1, beta2] = betas;
  // lr / (√v / c + ε) = (lr · c) / (√v + ε · c): one division an element instead of two.
  const [scale, floor] = [stepSize * rootCorrection, epsilon * rootCorrection];
  const written = [[WEIGHTS, w], [FIRST, m], [SECOND, v]] as const;
  inStages(begin, end, [...written, [GRADIENTS, g]], written, (kernels, bytes) => {
    kernels.adamw(bytes, clip, beta1, 1 - beta1, beta2, 1 - beta2, decay, scale, floor);
  });
}

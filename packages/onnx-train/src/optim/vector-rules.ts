/**
 * The arithmetic of clipping, FedProx, SCAFFOLD and AdamW over float32 arrays, one range at a time, four elements at once in
 * WebAssembly: a loop in JavaScript takes three times as long, for V8 computes in float64 and element by element. Rounded
 * to float32 after every operation, as PyTorch's kernels are, and to the same bits on every machine.
 *
 * Arrays in a {@link WasmMemory} that is given are worked on where they lie. Others lie anywhere, so ranges of them are copied
 * into a small memory that stays in the processor's cache, and back.
 */
import { eachVector, f32x4, f64x2, get, instantiate, load, set, store, upperHalf, wasmMemory, type Code, type WasmMemory } from './wasm.ts';
import type { AdamWCoefficients, AdamWSettings } from './update-rules.ts';

/** Elements of each array that are worked on at a time: four times 64 KB fit every second-level cache. */
const STAGE = 1 << 14;
const STAGE_BYTES = 4 * STAGE;
const STAGES = 4;
/** Ranges begin and end at whole vectors of four elements. */
const LANES = 4;

/** `bytes` is the length of the ranges, a multiple of 16; the others say where each array's range begins. */
interface Kernels {
  squares(bytes: number, gradients: number): number;
  proximal(bytes: number, gradients: number, weights: number, reference: number, mu: number): number;
  correct(bytes: number, gradients: number, sums: number, correction: number, rate: number): number;
  adamw(
    bytes: number, weights: number, first: number, second: number, gradients: number,
    clip: number, beta1: number, rest1: number, beta2: number, rest2: number, decay: number, scale: number, floor: number,
  ): void;
}

/** Adds the squares of a vector to the two float64 sums in `sum`. */
function addSquares(sum: number, x: number): Code {
  const square = (half: Code): Code => f64x2.mul(half, half);
  const [low, high] = [f64x2.promoteLow(get(x)), f64x2.promoteLow(upperHalf(get(x)))];
  return set(sum, f64x2.add(get(sum), f64x2.add(square(low), square(high))));
}

function squares(): Code {
  const [bytes, gradients, at, x, sum] = [0, 1, 2, 3, 4];
  return [...eachVector(at, bytes, [set(x, load(gradients, at)), addSquares(sum, x)]), ...f64x2.sum(sum)];
}

function proximal(): Code {
  const [bytes, gradients, weights, reference, mu, at, drift, sum] = [0, 1, 2, 3, 4, 5, 6, 7];
  const loop = eachVector(at, bytes, [
    set(drift, f32x4.sub(load(weights, at), load(reference, at))),
    store(gradients, at, f32x4.add(load(gradients, at), f32x4.mul(f32x4.splat(get(mu)), get(drift)))),
    addSquares(sum, drift),
  ]);
  return [...loop, ...f64x2.sum(sum)];
}

function correct(): Code {
  const [bytes, gradients, sums, correction, rate, at, gradient, sum] = [0, 1, 2, 3, 4, 5, 6, 7];
  const loop = eachVector(at, bytes, [
    set(gradient, load(gradients, at)),
    store(sums, at, f32x4.add(load(sums, at), f32x4.mul(f32x4.splat(get(rate)), get(gradient)))),
    set(gradient, f32x4.add(get(gradient), load(correction, at))),
    store(gradients, at, get(gradient)),
    addSquares(sum, gradient),
  ]);
  return [...loop, ...f64x2.sum(sum)];
}

function adamw(): Code {
  const [bytes, weights, first, second, gradients] = [0, 1, 2, 3, 4];
  const [at, gradient, mean, square] = [13, 14, 15, 16];
  const [clip, beta1, rest1, beta2, rest2, decay, scale, floor] = [5, 6, 7, 8, 9, 10, 11, 12].map((parameter) => f32x4.splat(get(parameter))) as [
    Code, Code, Code, Code, Code, Code, Code, Code,
  ];
  const step = f32x4.div(f32x4.mul(scale, get(mean)), f32x4.add(f32x4.sqrt(get(square)), floor));
  return eachVector(at, bytes, [
    set(gradient, f32x4.mul(load(gradients, at), clip)),
    set(mean, f32x4.add(f32x4.mul(beta1, load(first, at)), f32x4.mul(rest1, get(gradient)))),
    set(square, f32x4.add(f32x4.mul(beta2, load(second, at)), f32x4.mul(f32x4.mul(rest2, get(gradient)), get(gradient)))),
    store(first, at, get(mean)),
    store(second, at, get(square)),
    store(weights, at, f32x4.sub(f32x4.mul(load(weights, at), decay), step)),
  ]);
}

const addresses = (count: number): 'i32'[] => Array.from({ length: count }, () => 'i32');
const numbers = (count: number): 'f32'[] => Array.from({ length: count }, () => 'f32');

function kernelsOver(memory: WasmMemory): Kernels {
  const sums = ['i32', 'v128', 'v128'] as const;
  return instantiate(
    [
      { name: 'squares', parameters: addresses(2), locals: sums, result: 'f64', body: squares() },
      { name: 'correct', parameters: [...addresses(4), 'f32'], locals: sums, result: 'f64', body: correct() },
      { name: 'proximal', parameters: [...addresses(4), 'f32'], locals: sums, result: 'f64', body: proximal() },
      { name: 'adamw', parameters: [...addresses(5), ...numbers(8)], locals: ['i32', 'v128', 'v128', 'v128'], body: adamw() },
    ],
    memory,
  ) as Kernels;
}

interface Stages {
  readonly kernels: Kernels;
  readonly arrays: readonly Float32Array[];
}

/** This thread's memory for ranges of arrays that lie elsewhere. */
let stages: Stages | undefined;
/** This thread's functions over memory that it shares with others. */
const inPlace = new WeakMap<WasmMemory, Kernels>();

function openStages(): Stages {
  if (stages !== undefined) return stages;
  const memory = wasmMemory(STAGES * STAGE_BYTES, false);
  const arrays = Array.from({ length: STAGES }, (_, index) => new Float32Array(memory.buffer, index * STAGE_BYTES, STAGE));
  stages = { kernels: kernelsOver(memory), arrays };
  return stages;
}

function openInPlace(memory: WasmMemory): Kernels {
  let kernels = inPlace.get(memory);
  if (kernels === undefined) inPlace.set(memory, (kernels = kernelsOver(memory)));
  return kernels;
}

/** A range of some arrays of one length. */
interface ArrayRange {
  /** Where they all lie; undefined when they lie anywhere. */
  readonly memory: WasmMemory | undefined;
  /** The functions change these … */
  readonly written: readonly Float32Array[];
  /** … and only read these. */
  readonly read: readonly Float32Array[];
  readonly begin: number;
  readonly end: number;
}

/** Runs `work` on a range, with the addresses of the written arrays and of those that are read. */
function onRange({ memory, written, read, begin, end }: ArrayRange, work: (kernels: Kernels, bytes: number, addresses: readonly number[]) => void): void {
  const all = [...written, ...read];
  if (memory !== undefined) {
    work(openInPlace(memory), 4 * wholeVectors(end - begin), all.map(({ byteOffset }) => byteOffset + 4 * begin));
    return;
  }
  const { kernels, arrays } = openStages();
  const places = all.map((_, index) => index * STAGE_BYTES);
  for (let from = begin; from < end; from += STAGE) {
    const count = Math.min(STAGE, end - from);
    const whole = wholeVectors(count);
    all.forEach((array, index) => {
      arrays[index]!.set(array.subarray(from, from + count));
      arrays[index]!.fill(0, count, whole);
    });
    work(kernels, 4 * whole, places);
    written.forEach((array, index) => {
      array.set(arrays[index]!.subarray(0, count), from);
    });
  }
}

function wholeVectors(count: number): number {
  return Math.ceil(count / LANES) * LANES;
}

/** Sum of squares of a range, in float64. */
export function sumOfSquares(x: Float32Array, begin: number, end: number, memory?: WasmMemory): number {
  let sum = 0;
  onRange({ memory, written: [], read: [x], begin, end }, (kernels, bytes, [at]) => (sum += kernels.squares(bytes, at!)));
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
  onRange({ memory: undefined, written: [g], read: [w, reference], begin, end }, (kernels, bytes, [gradients, weights, toward]) => {
    sum += kernels.proximal(bytes, gradients!, weights!, toward!, mu);
  });
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
  onRange({ memory: undefined, written: [g, sums], read: [correction], begin, end }, (kernels, bytes, [gradients, total, added]) => {
    squares += kernels.correct(bytes, gradients!, total!, added!, rate);
  });
  return squares;
}

/**
 * One AdamW update of a range (Loshchilov & Hutter 2019, in the order of `torch.optim.AdamW`).
 *
 * @param memory where all four arrays lie, each followed by zeros up to a whole vector; undefined when they lie anywhere
 */
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
  memory?: WasmMemory,
): void {
  const [beta1, beta2] = betas;
  // lr / (√v / c + ε) = (lr · c) / (√v + ε · c): one division an element instead of two.
  const [scale, floor] = [stepSize * rootCorrection, epsilon * rootCorrection];
  onRange({ memory, written: [w, m, v], read: [g], begin, end }, (kernels, bytes, [weights, first, second, gradients]) => {
    kernels.adamw(bytes, weights!, first!, second!, gradients!, clip, beta1, 1 - beta1, beta2, 1 - beta2, decay, scale, floor);
  });
}

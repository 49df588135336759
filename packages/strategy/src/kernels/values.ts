import { FunctionBuilder, i32, loop, type Code, type Local, type WasmFunction } from '../wasm/assembler.ts';
import { f32x4, f64x2, i16x8, i32x4, v128 } from '../wasm/simd.ts';
import type { LayoutBuilder, Region } from './layout.ts';
import type { AveragedDtype } from '../engine/operands.ts';

/** Values that one turn of a kernel's loop takes: two vectors of float32, four of float64. */
export const STEP = 8;
/** The vectors of float32 in a turn. */
export const QUADS = [0, 1] as const;

/** Four float64 values: the lower two and the upper two. */
export type Halves = readonly [low: Local, high: Local];

/** A function that walks over a tile, with instructions to read and write the values of a turn. */
export class TileFunction {
  readonly layout: LayoutBuilder;
  readonly builder = new FunctionBuilder('i32');
  /** Element that the turn begins with. */
  readonly index: Local = this.builder.local('i32');
  readonly #wordAddress = this.builder.local('i32');
  readonly #halfAddress = this.builder.local('i32');
  readonly #scaleAddress = this.builder.local('i32');
  readonly #scratch = this.builder.local('v128');

  constructor(layout: LayoutBuilder) {
    this.layout = layout;
  }

  vector(): Local {
    return this.builder.local('v128');
  }

  halves(): Halves {
    return [this.vector(), this.vector()];
  }

  /** Number of values in the tile, the function's parameter. */
  get count(): Code {
    return this.builder.params[0]!.get;
  }

  /** To be repeated for every {@link STEP} values. */
  forEach(...body: readonly Code[]): Code {
    return loop(this.index, this.count, STEP, this.address(), ...body);
  }

  /** Makes the addresses follow `index`. */
  address(): Code {
    return [
      ...this.#wordAddress.set(i32.shiftLeft(this.index.get, i32.constant(2))),
      ...this.#halfAddress.set(i32.shiftLeft(this.index.get, i32.constant(1))),
      ...this.#scaleAddress.set(i32.shiftLeft(i32.shiftRight(this.index.get, i32.constant(6)), i32.constant(2))),
    ];
  }

  build(...body: readonly Code[]): WasmFunction {
    return this.builder.build(...body);
  }

  constant(value: number): Code {
    return v128.load(i32.constant(0), this.layout.constant(value));
  }

  readonly allOnes: Code = v128.bits(0xffff_ffff);

  /** The turn's values of a region as float32, exactly. */
  read({ dtype, begin, scaleBegin }: Region, quad: number): Code {
    switch (dtype) {
      case 'F32':
        return v128.load(this.#wordAddress.get, begin + 16 * quad);
      case 'BF16':
        return i32x4.shiftLeft(v128.load16x4U(this.#halfAddress.get, begin + 8 * quad), i32.constant(16));
      case 'F16':
        return this.#widenFloat16(v128.load16x4U(this.#halfAddress.get, begin + 8 * quad));
      case 'I8': {
        const bytes = v128.load32Zero(this.index.get, begin + 4 * quad);
        const values = f32x4.convertI32(i32x4.extendLow16S(i16x8.extendLow8S(bytes)));
        return f32x4.multiply(values, v128.load32Splat(this.#scaleAddress.get, scaleBegin));
      }
    }
  }

  /** The same as float64, into `into`. */
  readHalves(region: Region, quad: number, into: Halves): Code {
    if (region.dtype !== 'F32') return this.promote(this.read(region, quad), into);
    const half = (upper: number): Code => f64x2.promote(v128.load64Zero(this.#wordAddress.get, region.begin + 16 * quad + 8 * upper));
    return [...into[0].set(half(0)), ...into[1].set(half(1))];
  }

  /** Four float32 as float64. */
  promote(quad: Code, [low, high]: Halves): Code {
    return [
      ...low.set(f64x2.promote(this.#scratch.tee(quad))),
      ...high.set(f64x2.promote(f32x4.high(this.#scratch.get))),
    ];
  }

  /** Four float64 rounded to float32. */
  demote([low, high]: Halves): Code {
    return f32x4.joinLow(f32x4.demote(low.get), f32x4.demote(high.get));
  }

  /** Stores float32 values, rounded to the region's type. */
  write({ dtype, begin }: Region<AveragedDtype>, quad: number, values: Local): Code {
    if (dtype === 'F32') return this.storeFloat32(begin, quad, values.get);
    const bits = dtype === 'BF16' ? narrowBfloat16(values.get) : narrowFloat16(values.get);
    const narrow = [...this.#scratch.set(bits), ...i16x8.narrowU(this.#scratch.get, this.#scratch.get)];
    return v128.store64(this.#halfAddress.get, begin + 8 * quad, narrow);
  }

  /** Stores float32 values at their place in an array of a tile. */
  storeFloat32(begin: number, quad: number, values: Code): Code {
    return v128.store(this.#wordAddress.get, begin + 16 * quad, values);
  }

  storeFloat64(begin: number, quad: number, [low, high]: Halves): Code {
    return [low, high].flatMap((half, upper) => v128.store(this.#doubleAddress, begin + 32 * quad + 16 * upper, half.get));
  }

  loadFloat64(begin: number, quad: number, [low, high]: Halves): Code {
    return [low, high].flatMap((half, upper) => half.set(v128.load(this.#doubleAddress, begin + 32 * quad + 16 * upper)));
  }

  get #doubleAddress(): Code {
    return i32.shiftLeft(this.index.get, i32.constant(3));
  }

  /** Binary16 bits, one in each 32-bit lane, to float32. */
  #widenFloat16(bits: Code): Code {
    const word = this.#scratch;
    const magnitude = v128.and(word.get, v128.bits(0x7fff));
    const shifted = i32x4.shiftLeft(magnitude, i32.constant(13));
    const normal = i32x4.add(shifted, v128.bits(0x3800_0000));
    const small = f32x4.multiply(f32x4.convertI32(magnitude), v128.bits(float32Bits(2 ** -24)));
    const finite = v128.select(small, normal, i32x4.ltS(magnitude, v128.bits(0x400)));
    const special = v128.or(shifted, v128.bits(0x7f80_0000));
    const sign = i32x4.shiftLeft(v128.and(word.get, v128.bits(0x8000)), i32.constant(16));
    return [...word.set(bits), ...v128.or(v128.select(special, finite, i32x4.geS(magnitude, v128.bits(0x7c00))), sign)];
  }
}

/** Float32 to bfloat16 bits: to nearest, ties to even; NaN stays NaN. */
function narrowBfloat16(word: Code): Code {
  const upper = i32x4.shiftRightU(word, i32.constant(16));
  const rounded = i32x4.shiftRightU(i32x4.add(i32x4.add(word, v128.bits(0x7fff)), v128.and(upper, v128.bits(1))), i32.constant(16));
  return v128.select(v128.or(upper, v128.bits(0x40)), rounded, isNan(word));
}

/** Float32 to binary16 bits: to nearest, ties to even; 65520 and above to infinity. */
function narrowFloat16(word: Code): Code {
  const magnitude = v128.and(word, v128.bits(0x7fff_ffff));
  const odd = v128.and(i32x4.shiftRightU(magnitude, i32.constant(13)), v128.bits(1));
  const rounded = i32x4.add(i32x4.add(magnitude, v128.bits(0xfff)), odd);
  const normal = i32x4.shiftRightU(i32x4.subtract(rounded, v128.bits(0x3800_0000)), i32.constant(13));
  // Below 2^-14 a binary16 is a multiple of 2^-24.
  const small = i32x4.truncateF32(f32x4.nearest(f32x4.multiply(f32x4.abs(word), v128.bits(float32Bits(2 ** 24)))));
  const inRange = v128.select(small, normal, i32x4.ltS(magnitude, v128.bits(0x3880_0000)));
  const bounded = v128.select(v128.bits(0x7c00), inRange, i32x4.geS(magnitude, v128.bits(0x477f_f000)));
  const sign = v128.and(i32x4.shiftRightU(word, i32.constant(16)), v128.bits(0x8000));
  return v128.or(v128.select(v128.bits(0x7e00), bounded, isNan(word)), sign);
}

function isNan(word: Code): Code {
  return i32x4.gtS(v128.and(word, v128.bits(0x7fff_ffff)), v128.bits(0x7f80_0000));
}

function float32Bits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

import { INT8_BLOCK, type AveragedDtype, type StoredDtype } from '../engine/operands.ts';

/** Tiles and blocks are cut in units of this many values, an even number, as noise needs. */
export const SEGMENT = 4096;
/** A tile's operands and results together: they are to stay in a core's second-level cache. */
const TILE_BYTES = 512 * 1024;
/** Longer reads gain nothing. */
const MAX_TILE = 4 * SEGMENT;
/** Regions that all began at the same offset of a page would push one another out of the first-level cache. */
const STAGGER = 64;

/** Where a tile of an operand or result lies in a thread's memory. */
export interface Region<T extends StoredDtype = StoredDtype> {
  readonly dtype: T;
  readonly begin: number;
  /** I8 only: where its scales begin. */
  readonly scaleBegin: number;
}

/** The element types of what a kernel reads and writes. */
export interface KernelShape {
  readonly operands: readonly StoredDtype[];
  readonly results: readonly AveragedDtype[];
}

/** A thread's memory while one pass runs. Plain data. */
export interface Layout {
  /** Values that the kernel works on at a time. */
  readonly tile: number;
  readonly operands: readonly Region[];
  readonly results: readonly Region<AveragedDtype>[];
  /** Float64 values that the memory holds from the start, twice each, with their addresses. */
  readonly constants: readonly (readonly [value: number, address: number])[];
  /** Size in bytes. */
  readonly byteLength: number;
}

/** Bytes that `count` values of a type take, without the scales of int8. */
export function dataBytes(dtype: StoredDtype, count: number): number {
  return dtype === 'F32' ? count * 4 : dtype === 'I8' ? count : count * 2;
}

/** Bytes that the scales of `count` values take. */
export function scaleBytes(dtype: StoredDtype, count: number): number {
  return dtype === 'I8' ? Math.ceil(count / INT8_BLOCK) * 4 : 0;
}

/** Values per tile: a function of the shape alone, so that sums are formed the same way on every thread. */
export function tileLength({ operands, results }: KernelShape): number {
  const perSegment = [...operands, ...results].reduce((sum, dtype) => sum + dataBytes(dtype, SEGMENT), 0);
  return Math.min(MAX_TILE, Math.max(1, Math.floor(TILE_BYTES / perSegment)) * SEGMENT);
}

/** Deals out a thread's memory. */
export class LayoutBuilder {
  readonly tile: number;
  readonly operands: readonly Region[];
  readonly results: readonly Region<AveragedDtype>[];
  readonly #constants = new Map<number, number>();
  #end = 0;

  constructor(shape: KernelShape) {
    this.tile = tileLength(shape);
    this.operands = shape.operands.map((dtype) => this.#region(dtype));
    this.results = shape.results.map((dtype) => this.#region(dtype));
  }

  /** Address of further memory. */
  place(bytes: number): number {
    const begin = this.#end;
    this.#end = Math.ceil((begin + bytes) / 16) * 16;
    return begin;
  }

  /** As {@link place}, for one of many arrays that are read side by side. */
  placeArray(bytes: number): number {
    this.#end += STAGGER;
    return this.place(bytes);
  }

  /** Address of a float64, twice. */
  constant(value: number): number {
    let address = this.#constants.get(value);
    if (address === undefined) this.#constants.set(value, (address = this.place(16)));
    return address;
  }

  build(): Layout {
    const { tile, operands, results } = this;
    return { tile, operands, results, constants: [...this.#constants], byteLength: this.#end };
  }

  #region<T extends StoredDtype>(dtype: T): Region<T> {
    const begin = this.placeArray(dataBytes(dtype, this.tile));
    return { dtype, begin, scaleBegin: dtype === 'I8' ? this.place(scaleBytes(dtype, this.tile)) : 0 };
  }
}

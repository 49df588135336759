/**
 * @module
 * As much of a WebAssembly assembler as a loop over float vectors needs (WebAssembly 2.0, with its 128-bit SIMD).
 * An expression is its bytes in stack order.
 */

/** Instructions that leave one value, or none. */
export type Code = readonly number[];

/** Value types by their encoding. */
const TYPES = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

export type WasmType = keyof typeof TYPES;

/** A function that is exported under its name. */
export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly WasmType[];
  /** Types of the locals behind the parameters. */
  readonly locals: readonly WasmType[];
  readonly result?: WasmType;
  readonly body: Code;
}

/** An unsigned number in LEB128. */
function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
}

function vector(items: readonly Code[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function section(id: number, content: Code): number[] {
  return [id, ...unsigned(content.length), ...content];
}

function text(value: string): number[] {
  return vector([...Buffer.from(value)].map((byte) => [byte]));
}

function simd(opcode: number): number[] {
  return [0xfd, ...unsigned(opcode)];
}

const unary = (opcode: Code) => (x: Code): Code => [...x, ...opcode];
const binary = (opcode: Code) => (a: Code, b: Code): Code => [...a, ...b, ...opcode];

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)];

/** f32x4 and f64x2 arithmetic, lane by lane. */
export const f32x4 = {
  splat: unary(simd(0x13)),
  sqrt: unary(simd(0xe3)),
  add: binary(simd(0xe4)),
  sub: binary(simd(0xe5)),
  mul: binary(simd(0xe6)),
  div: binary(simd(0xe7)),
};
export const f64x2 = {
  add: binary(simd(0xf0)),
  mul: binary(simd(0xf2)),
  /** The first two float32 lanes, widened. */
  promoteLow: unary(simd(0x5f)),
  /** Both lanes as one number. */
  sum: (x: number): Code => [...get(x), ...simd(0x21), 0, ...get(x), ...simd(0x21), 1, 0xa0],
};
/** The upper half of a vector, moved down. */
export const upperHalf = (x: Code): Code => [...x, ...x, ...simd(0x0d), 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];

/** The 16 bytes `at` bytes into the array at `base`; both are locals. */
export const load = (base: number, at: number): Code => [...address(base, at), ...simd(0x00), 4, 0];
export const store = (base: number, at: number, value: Code): Code => [...address(base, at), ...value, ...simd(0x0b), 4, 0];

function address(base: number, at: number): Code {
  return [...get(base), ...get(at), 0x6a];
}

/** Repeats `body` for `local` = 0, 16, … below the parameter `end`; at least once. */
export const eachVector = (local: number, end: number, body: readonly Code[]): Code => [
  0x03, 0x40,
  ...body.flat(),
  ...get(local), 0x41, 16, 0x6a, 0x22, ...unsigned(local), ...get(end), 0x49, 0x0d, 0,
  0x0b,
];

/** A module of these functions over one imported memory (`env.memory`). */
function assemble(functions: readonly WasmFunction[], isShared: boolean): Uint8Array<ArrayBuffer> {
  const limits = isShared ? [3, 0, ...unsigned(MOST_PAGES)] : [0, 0];
  const types = functions.map(({ parameters, result }) => [
    0x60,
    ...vector(parameters.map((type) => [TYPES[type]])),
    ...vector(result === undefined ? [] : [[TYPES[result]]]),
  ]);
  const bodies = functions.map(({ locals, body }) => {
    const code = [...vector(locals.map((type) => [1, TYPES[type]])), ...body, 0x0b];
    return [...unsigned(code.length), ...code];
  });
  return Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector(types)),
    ...section(2, vector([[...text('env'), ...text('memory'), 2, ...limits]])),
    ...section(3, vector(functions.map((_, index) => unsigned(index)))),
    ...section(7, vector(functions.map(({ name }, index) => [...text(name), 0, ...unsigned(index)]))),
    ...section(10, vector(bodies)),
  ]);
}

/** Memory that WebAssembly's functions work in. Shared memory may be sent to other threads. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
}

/** As much of the global as is used here: its types come with those of browsers only. */
interface WebAssemblyGlobal {
  readonly Memory: new (descriptor: { readonly initial: number; readonly maximum?: number; readonly shared?: boolean }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
}

const { Memory, Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyGlobal }).WebAssembly;

const PAGE_BYTES = 1 << 16;
const MOST_PAGES = 1 << 16;
/** What one memory can hold: its addresses have 32 bits. */
export const MOST_WASM_BYTES = PAGE_BYTES * MOST_PAGES;

/** @param bytes at most {@link MOST_WASM_BYTES}; rounded up to whole pages */
export function wasmMemory(bytes: number, isShared: boolean): WasmMemory {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  return new Memory(isShared ? { initial: pages, maximum: pages, shared: true } : { initial: pages });
}

/** Functions at work on a memory, by their names. */
export function instantiate(functions: readonly WasmFunction[], memory: WasmMemory): object {
  const isShared = memory.buffer instanceof SharedArrayBuffer;
  return new Instance(new Module(assemble(functions, isShared)), { env: { memory } }).exports;
}

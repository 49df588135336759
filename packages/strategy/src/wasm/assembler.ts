/**
 * WebAssembly's binary format (https://webassembly.github.io/spec/core/binary/), as much of it as the kernels need: functions over
 * one imported memory. Kernels are put together when a pass begins, for its very operands, so that nothing is looked up per value.
 */

/** Instructions: an expression leaves its value on the stack, a statement leaves nothing there. */
export type Code = readonly number[];

export type ValueType = 'i32' | 'v128';

const VALUE_TYPES: Readonly<Record<ValueType, number>> = { i32: 0x7f, v128: 0x7b };

/** A parameter or local variable of a function. */
export interface Local {
  readonly get: Code;
  set(value: Code): Code;
  /** Sets it and leaves the value on the stack. */
  tee(value: Code): Code;
}

/** A function in the making: its parameters, and locals as they are asked for. It returns nothing. */
export class FunctionBuilder {
  readonly params: readonly Local[];
  readonly #paramTypes: readonly ValueType[];
  readonly #localTypes: ValueType[] = [];

  constructor(...params: readonly ValueType[]) {
    this.#paramTypes = params;
    this.params = params.map((_, index) => variable(index));
  }

  local(type: ValueType): Local {
    return variable(this.#paramTypes.length + this.#localTypes.push(type) - 1);
  }

  /** The finished function. */
  build(...body: readonly Code[]): WasmFunction {
    const locals = this.#localTypes.map((type) => [1, VALUE_TYPES[type]]);
    return { params: this.#paramTypes, code: sized([...vector(locals), ...body.flat(), 0x0b]) };
  }
}

export interface WasmFunction {
  readonly params: readonly ValueType[];
  readonly code: Code;
}

/** The bytes of a module that exports these functions; it imports its memory as `host.memory`. */
export function encodeModule(functions: Readonly<Record<string, WasmFunction>>): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(functions);
  const types = entries.map(([, { params }]) => [0x60, ...vector(params.map((type) => [VALUE_TYPES[type]])), 0]);
  const memory = [...text('host'), ...text('memory'), 2, 0, 0];
  const exports = entries.map(([name], index) => [...text(name), 0, ...unsigned(index)]);
  return Uint8Array.from(
    [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, types),
      section(2, [memory]),
      section(3, entries.map((_, index) => unsigned(index))),
      section(7, exports),
      section(10, entries.map(([, { code }]) => code)),
    ].flat(),
  );
}

/** `for (index = 0; index < limit; index += step) body`, for a limit above 0. */
export function loop(index: Local, limit: Code, step: number, ...body: readonly Code[]): Code {
  return [...index.set(i32.constant(0)), ...whileBelow(index, limit, step, ...body)];
}

/** `do { body; index += step } while (index < limit)`. */
export function whileBelow(index: Local, limit: Code, step: number, ...body: readonly Code[]): Code {
  const next = index.set(i32.add(index.get, i32.constant(step)));
  return [0x03, 0x40, ...body.flat(), ...next, ...index.get, ...limit, 0x49, 0x0d, 0, 0x0b];
}

const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [...a, ...b, opcode];

/** 32-bit integers: addresses and counts. */
export const i32 = {
  constant: (value: number): Code => [0x41, ...signed(value)],
  add: binary(0x6a),
  subtract: binary(0x6b),
  multiply: binary(0x6c),
  shiftLeft: binary(0x74),
  shiftRight: binary(0x76),
};

/** An unsigned number in LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return [...bytes, rest];
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest < -0x40 || rest >= 0x40) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>= 7;
  }
  return [...bytes, rest & 0x7f];
}

function variable(index: number): Local {
  return {
    get: [0x20, ...unsigned(index)],
    set: (value) => [...value, 0x21, ...unsigned(index)],
    tee: (value) => [...value, 0x22, ...unsigned(index)],
  };
}

function vector(items: readonly Code[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function sized(bytes: readonly number[]): Code {
  // A spread would put a large function's bytes on the call stack.
  return unsigned(bytes.length).concat(bytes);
}

function section(id: number, items: readonly Code[]): Code {
  return [[id], sized(vector(items))].flat();
}

function text(value: string): number[] {
  return vector([...new TextEncoder().encode(value)].map((byte) => [byte]));
}

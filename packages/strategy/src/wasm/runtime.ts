/** A compiled module; it can be sent to other threads. */
export type WasmModule = object & { readonly __brand: 'WebAssembly.Module' };

/** A thread's memory. */
export interface WasmMemory {
  /** Replaced by another when the memory grows. */
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** Exported functions by name. */
export type WasmExports = Readonly<Record<string, (count: number) => void>>;

interface Runtime {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule;
  readonly Memory: new (size: { readonly initial: number }) => WasmMemory;
  readonly Instance: new (module: WasmModule, imports: object) => { readonly exports: WasmExports };
}

/** TypeScript has types for it only among those of browsers. */
const { Module, Memory, Instance } = (globalThis as unknown as { readonly WebAssembly: Runtime }).WebAssembly;

const PAGE_BYTES = 65_536;

export function compileModule(bytes: Uint8Array<ArrayBuffer>): WasmModule {
  return new Module(bytes);
}

export function newMemory(): WasmMemory {
  return new Memory({ initial: 1 });
}

/** Makes a memory at least so large; returns its buffer. */
export function ensureBytes(memory: WasmMemory, bytes: number): ArrayBuffer {
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  return memory.buffer;
}

export function instantiate(module: WasmModule, memory: WasmMemory): WasmExports {
  return new Instance(module, { host: { memory } }).exports;
}

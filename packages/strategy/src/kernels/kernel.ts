import { addGaussian, deriveNoiseKey } from '../privacy/noise.ts';
import { encodeModule } from '../wasm/assembler.ts';
import { compileModule, ensureBytes, instantiate, type WasmExports, type WasmMemory, type WasmModule } from '../wasm/runtime.ts';
import { buildAggregate, buildSum, type AggregateSpec, type Intermediate, type Noise, type SumSpec } from './aggregate.ts';
import { buildDistances, STRIP, type DistancesSpec } from './distances.ts';
import { buildInspect, type InspectSpec } from './inspect.ts';
import { addLanes, LANES } from './lanes.ts';
import { LayoutBuilder, type KernelShape, type Layout } from './layout.ts';
import { STEP } from './values.ts';

/** What is computed for each tile; plain data (but for a custom rule), so that it can be sent to a worker thread. */
export type KernelSpec = AggregateSpec | DistancesSpec | InspectSpec | SumSpec;

/** Whether a thread waits for memory more than it computes, however many operands there are. */
export function isStreaming(spec: KernelSpec): boolean {
  switch (spec.kind) {
    case 'aggregate':
      return spec.combine.kind === 'linear' && spec.noise === null;
    case 'distances':
      return false;
    case 'inspect':
    case 'sum':
      return true;
  }
}

/** How many sums a kernel leaves for each block. */
export function partialLength(spec: KernelSpec): number {
  switch (spec.kind) {
    // [values that are not finite, Σ (new − old)²]
    case 'aggregate':
      return 2;
    // Σ (a − b)² of each pair
    case 'distances':
      return (spec.members.length * (spec.members.length - 1)) / 2;
    // [index of the first value that is not finite or −1, Σ (update − base)²]
    case 'inspect':
      return 2;
    case 'sum':
      return 0;
  }
}

/** A kernel for the operands of one pass. Plain data, the module included: it is compiled once for all threads. */
export interface CompiledKernel {
  readonly spec: KernelSpec;
  readonly module: WasmModule;
  readonly layout: Layout;
  /** A tile's end is padded with zeros to a multiple of this. */
  readonly step: number;
  readonly addresses: {
    /** Sums that the functions leave behind. */
    readonly sums: number;
    readonly intermediate: Intermediate | null;
    /** The values of an inspected update. */
    readonly values: number;
  };
}

/** Kernels that depend on nothing but their shape, of which there are few; every update of every round is inspected. */
const inspectors = new Map<string, CompiledKernel>();

/** Makes the kernel of a pass. */
export function compileKernel(spec: KernelSpec, shape: KernelShape): CompiledKernel {
  if (spec.kind !== 'inspect') return compile(spec, shape);
  const key = JSON.stringify(shape);
  let inspector = inspectors.get(key);
  if (inspector === undefined) inspectors.set(key, (inspector = compile(spec, shape)));
  return inspector;
}

function compile(spec: KernelSpec, shape: KernelShape): CompiledKernel {
  const layout = new LayoutBuilder(shape);
  const { functions, step = STEP, addresses } = buildKernel(spec, layout);
  return {
    spec,
    module: compileModule(encodeModule(functions)),
    layout: layout.build(),
    step,
    addresses: { sums: 0, intermediate: null, values: 0, ...addresses },
  };
}

interface BuiltKernel {
  readonly functions: Parameters<typeof encodeModule>[0];
  readonly step?: number;
  readonly addresses?: Partial<CompiledKernel['addresses']>;
}

function buildKernel(spec: KernelSpec, layout: LayoutBuilder): BuiltKernel {
  switch (spec.kind) {
    case 'aggregate': {
      const { functions, lanes, intermediate } = buildAggregate(spec, layout);
      return { functions, addresses: { sums: lanes.address, intermediate } };
    }
    case 'distances': {
      if (spec.members.length < 2) return { functions: {} };
      const { run, sums } = buildDistances(spec, layout);
      return { functions: { run }, step: STRIP, addresses: { sums } };
    }
    case 'inspect': {
      const { functions, lanes, values } = buildInspect(layout);
      return { functions, addresses: { sums: lanes.address, values } };
    }
    case 'sum':
      return { functions: { run: buildSum(spec, layout) } };
  }
}

/** Where a tile lies in its tensor. */
export interface TilePosition {
  readonly tensor: string;
  /** First element; a multiple of the layout's segment. */
  readonly offset: number;
  readonly length: number;
}

/** A kernel on one thread. The caller puts operands into `bytes` and takes results from there, by the layout. */
export class KernelInstance {
  readonly kernel: CompiledKernel;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #functions: WasmExports;
  readonly #buffer: ArrayBuffer;
  #noiseKey: { readonly tensor: string; readonly key: Uint8Array } | undefined;

  /** @param memory The thread's own; it grows to what the kernel needs. */
  constructor(kernel: CompiledKernel, memory: WasmMemory) {
    this.kernel = kernel;
    const { module, layout } = kernel;
    this.#buffer = ensureBytes(memory, layout.byteLength);
    this.bytes = new Uint8Array(this.#buffer);
    for (const [value, address] of layout.constants) new Float64Array(this.#buffer, address, 2).fill(value);
    this.#functions = instantiate(module, memory);
  }

  /** Zero at first; {@link process} adds to it. Its meaning is the kernel's. */
  partial(): Float64Array {
    const { spec } = this.kernel;
    const partial = new Float64Array(partialLength(spec));
    if (spec.kind === 'inspect') partial[0] = -1;
    return partial;
  }

  /** Computes the tile that lies in `bytes`. @param first Its first element's position among those that `partial` is about. */
  process(tile: TilePosition, first: number, partial: Float64Array): void {
    const { spec, step, addresses } = this.kernel;
    const count = Math.ceil(tile.length / step) * step;
    switch (spec.kind) {
      case 'aggregate': {
        this.#aggregate(spec, tile, count);
        const squares = addLanes(this.#sums(1), 0);
        // Finite float32 values cannot make this sum overflow in float64.
        if (!Number.isFinite(squares)) partial[0]! += Math.max(1, this.#countNonFinite(tile.length));
        partial[1]! += squares;
        return;
      }
      case 'distances': {
        if (partial.length === 0) return;
        const sums = this.#sums(partial.length).fill(0);
        this.#functions['run']!(count);
        for (let pair = 0; pair < partial.length; pair++) partial[pair]! += addLanes(sums, pair * LANES);
        return;
      }
      case 'inspect': {
        this.#functions['run']!(count);
        const squares = addLanes(this.#sums(1), 0);
        if (!Number.isFinite(squares) && partial[0]! < 0) {
          this.#functions['widen']!(count);
          const index = this.#float32(addresses.values, tile.length).findIndex((value) => !Number.isFinite(value));
          if (index >= 0) partial[0] = first + index;
        }
        partial[1]! += squares;
        return;
      }
      case 'sum':
        this.#functions['run']!(count);
    }
  }

  #aggregate({ combine, noise }: AggregateSpec, { tensor, offset, length }: TilePosition, count: number): void {
    const { intermediate } = this.kernel.addresses;
    if (intermediate === null) {
      this.#functions['run']!(count);
      return;
    }
    this.#functions['combine']!(count);
    const combined = new Float64Array(this.#buffer, intermediate.combined, count);
    if (combine.kind === 'custom') {
      const [global, ...values] = intermediate.values.map((address) => this.#float32(address, length));
      combined.fill(0);
      combine.combine(values, global!, combined.subarray(0, length), length);
    }
    if (noise !== null) addGaussian(this.#keyOf(noise, tensor), offset, noise.sigma, combined.subarray(0, length));
    this.#functions['finish']!(count);
  }

  #keyOf({ key }: Noise, tensor: string): Uint8Array {
    if (this.#noiseKey?.tensor !== tensor) this.#noiseKey = { tensor, key: deriveNoiseKey(key, 'tensor', tensor) };
    return this.#noiseKey.key;
  }

  #sums(count: number): Float64Array {
    return new Float64Array(this.#buffer, this.kernel.addresses.sums, count * LANES);
  }

  #float32(address: number, length: number): Float32Array {
    return new Float32Array(this.#buffer, address, length);
  }

  #countNonFinite(length: number): number {
    const { dtype, begin } = this.kernel.layout.results[0]!;
    if (dtype === 'F32') return this.#float32(begin, length).reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
    const exponent = dtype === 'BF16' ? 0x7f80 : 0x7c00;
    return new Uint16Array(this.#buffer, begin, length).reduce((count, bits) => count + ((bits & exponent) === exponent ? 1 : 0), 0);
  }
}

import { elementCount } from '@zk0/core/tensors';
import { createHash } from 'node:crypto';
import { isAbsolute } from 'node:path';
import { GraphError } from '../errors.ts';
import { DATA_TYPES, encodeNumbers, type DataType } from './data-type.ts';
import type { Attributes, GraphNode, Value, ValueType } from './value.ts';

/** A tensor's bytes inside a file (for example of a safetensors file): memory-mapped by onnxruntime, never copied here. */
export interface ExternalData {
  /** Absolute path. */
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
}

/** Data that are part of the model: in its bytes, or in a file beside it. */
export type InitializerData = { readonly bytes: Uint8Array } | { readonly external: ExternalData };

/** Above this, data belong in a file: one protobuf message holds at most 2 GB, and embedding copies. */
export const MAX_EMBEDDED_BYTES = 256 * 1024 * 1024;

/** How a graph is written. */
export interface GraphOptions {
  /**
   * Element type that products of float32 values (`MatMul`, `Gemm`) are computed in, forward and backward: operands are
   * rounded to it, results are float32 again, and everything between products stays float32. This is mixed precision as
   * PyTorch's autocast does it; with float16, scale the loss (`LossScaler`).
   * @default float32
   */
  readonly products?: ProductType;
}

/** Element types of {@link GraphOptions.products}. */
export type ProductType = 'float32' | 'float16' | 'bfloat16';

interface Counters {
  order: number;
  names: Set<string>;
}

/**
 * A computation being written down as ONNX.
 *
 * Operators are functions on {@link Value}s (`ops.matMul(a, b)`); each lands in the innermost graph of its operands, so
 * work in a `Loop` body that does not depend on the iteration stays outside. A graph checks everything it can while it
 * is written: shapes are static numbers, and an error names the operator and the shapes.
 */
export class GraphBuilder {
  readonly name: string;
  readonly parent: GraphBuilder | undefined;
  readonly depth: number;
  readonly products: ProductType;
  readonly inputs: Value[] = [];
  readonly outputs: { readonly name: string; readonly value: Value }[] = [];
  readonly nodes: GraphNode[] = [];
  readonly initializers = new Map<Value, InitializerData>();
  readonly #constants = new Map<string, Value>();
  readonly #counters: Counters;

  constructor(name = 'graph', options: GraphOptions = {}, parent?: GraphBuilder) {
    this.name = name;
    this.products = parent?.products ?? options.products ?? 'float32';
    this.parent = parent;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
    this.#counters = parent === undefined ? { order: 0, names: new Set() } : parent.#counters;
  }

  /** The outermost graph. */
  get root(): GraphBuilder {
    return this.parent === undefined ? this : this.parent.root;
  }

  /** Declares an input; a run must feed a tensor of exactly this type and shape under this name. */
  input(name: string, dtype: DataType, shape: readonly number[]): Value {
    const value = this.#value(this.#claim(name), { dtype, shape });
    this.inputs.push(value);
    return value;
  }

  /**
   * Constant numbers, kept in the outermost graph and written once however often they are asked for.
   *
   * @param shape by default `[]` for a number and `[length]` for an array.
   */
  constant(data: number | readonly number[], dtype: DataType, shape?: readonly number[]): Value {
    if (this.parent !== undefined) return this.root.constant(data, dtype, shape);
    const numbers = typeof data === 'number' ? [data] : data;
    const dimensions = shape ?? (typeof data === 'number' ? [] : [data.length]);
    const bytes = encodeNumbers(numbers, dtype);
    const key = `${dtype} ${dimensions.join(',')} ${createHash('sha256').update(bytes).digest('hex')}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const size = elementCount(dimensions);
    if (size !== numbers.length) {
      throw new GraphError(`constant: ${numbers.length} numbers for the shape [${dimensions.join(', ')}]`);
    }
    const value = this.#value(this.#fresh('constant'), { dtype, shape: dimensions });
    this.initializers.set(value, { bytes });
    this.#constants.set(key, value);
    return value;
  }

  /** A tensor whose little-endian bytes become part of the model. For large weights use {@link externalInitializer}. */
  initializer(name: string, dtype: DataType, shape: readonly number[], data: ArrayBufferView): Value {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const size = elementCount(shape) * DATA_TYPES[dtype].bytes;
    if (bytes.byteLength !== size) {
      throw new GraphError(`initializer ${name}: ${bytes.byteLength} bytes, ${dtype} [${shape.join(', ')}] needs ${size}`);
    }
    if (size > MAX_EMBEDDED_BYTES) {
      throw new GraphError(`initializer ${name}: ${size} bytes are too many to embed`, {
        hint: 'Put the tensor in a file and use externalInitializer, or make it an input.',
      });
    }
    return this.#initializer(name, { dtype, shape }, { bytes });
  }

  /** A tensor whose little-endian bytes stay where they are in a file. */
  externalInitializer(name: string, dtype: DataType, shape: readonly number[], external: ExternalData): Value {
    if (!isAbsolute(external.path)) throw new GraphError(`initializer ${name}: path ${external.path} is not absolute`);
    if (!Number.isSafeInteger(external.offset) || external.offset < 0) {
      throw new GraphError(`initializer ${name}: no valid offset (${external.offset})`);
    }
    return this.#initializer(name, { dtype, shape }, { external });
  }

  /** Makes a value an output of the graph, under a name of your choice. */
  output(name: string, value: Value): void {
    if (!this.contains(value)) throw new GraphError(`output ${name}: value ${value.name} is not of graph ${this.name}`);
    if (this.outputs.some((output) => output.name === name)) throw new GraphError(`output ${name} is declared twice`);
    if (value.name !== name) this.#claim(name);
    this.outputs.push({ name, value });
  }

  /** Whether a value may be used in this graph: it is this graph's own or of one around it. */
  contains(value: Value): boolean {
    return value.graph === this || this.parent?.contains(value) === true;
  }

  /**
   * Appends a node as it is; the operators in `ops` are built on this. The caller vouches for the output types.
   *
   * @param opType name in the operator set, for example `MatMul`.
   */
  node(
    opType: string,
    inputs: readonly (Value | undefined)[],
    outputs: readonly ValueType[],
    attributes: Attributes = {},
    domain = '',
  ): Value[] {
    for (const input of inputs) {
      if (input !== undefined && !this.contains(input)) {
        throw new GraphError(`${opType}: value ${input.name} belongs to graph ${input.graph.name}, not ${this.name}`);
      }
    }
    const values: Value[] = [];
    const node: GraphNode = { order: this.#counters.order++, opType, domain, inputs, outputs: values, attributes };
    for (const type of outputs) values.push(this.#value(this.#fresh(opType), type, node));
    this.nodes.push(node);
    return values;
  }

  #initializer(name: string, type: ValueType, data: InitializerData): Value {
    if (this.parent !== undefined) return this.root.#initializer(name, type, data);
    const value = this.#value(this.#claim(name), type);
    this.initializers.set(value, data);
    return value;
  }

  #value(name: string, { dtype, shape }: ValueType, producer?: GraphNode): Value {
    for (const size of shape) {
      if (!Number.isSafeInteger(size) || size < 0) throw new GraphError(`value ${name}: no valid shape [${shape.join(', ')}]`);
    }
    return { graph: this, name, dtype, shape: [...shape], producer };
  }

  #claim(name: string): string {
    if (name === '') throw new GraphError('a name is empty');
    if (this.#counters.names.has(name)) throw new GraphError(`the name ${name} is used twice`);
    this.#counters.names.add(name);
    return name;
  }

  #fresh(base: string): string {
    return this.#claim(`${base}/${this.#counters.names.size}`);
  }
}

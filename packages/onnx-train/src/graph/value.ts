import type { DataType } from './data-type.ts';
import type { GraphBuilder } from './graph-builder.ts';

/** A tensor that a graph will compute: element type and static shape are known while the graph is being written. */
export interface Value {
  readonly graph: GraphBuilder;
  readonly name: string;
  readonly dtype: DataType;
  /** Row-major sizes; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** The node that computes it; none for inputs and initializers. */
  readonly producer: GraphNode | undefined;
}

/** What a value is, without saying where it comes from. */
export interface ValueType {
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

/**
 * A node's attribute: an integer, `{ float }`, text, integers, or a subgraph. JavaScript has one number type, so a
 * float attribute is marked as such.
 */
export type Attribute = number | string | readonly number[] | { readonly float: number } | { readonly body: GraphBuilder };
export type Attributes = Readonly<Record<string, Attribute>>;

/** An operator applied to values. */
export interface GraphNode {
  /** Position in the order of emission, over all graphs; a topological order. */
  readonly order: number;
  readonly opType: string;
  /** `''` is the standard operator set; `com.microsoft` holds onnxruntime's own. */
  readonly domain: string;
  /** `undefined` is an optional input left out. */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
}

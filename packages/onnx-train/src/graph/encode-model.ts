import { elementCount } from '@zk0/core/tensors';
import { relative, sep } from 'node:path';
import { GraphError } from '../errors.ts';
import {
  ATTRIBUTE_TYPE,
  encodeModelProto,
  EXTERNAL_LOCATION,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../proto/onnx-schema.ts';
import { DATA_TYPES } from './data-type.ts';
import { commonDirectory, resolveExternalFile } from './external-files.ts';
import type { GraphBuilder, InitializerData } from './graph-builder.ts';
import { memoryNeeds, type MemoryNeeds } from './memory-needs.ts';
import type { Attribute, GraphNode, Value, ValueType } from './value.ts';

/** Version of the standard operator set that the graphs are written in. */
export const OPSET = 20;
/** Version of the file format that goes with {@link OPSET}. */
const IR_VERSION = 9;

/** A finished model: pass it to `createSession`. */
export interface OnnxModel {
  /** An ONNX file's content. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly inputs: ReadonlyMap<string, ValueType>;
  readonly outputs: ReadonlyMap<string, ValueType>;
  /**
   * Directory that the locations of external data are relative to; none when the model has no external data. To use
   * `bytes` as a file with other tools, write it into this directory.
   */
  readonly externalDirectory: string | undefined;
  /** What running it is estimated to take. */
  readonly memory: MemoryNeeds;
}

/**
 * Writes a graph as an ONNX model. Nodes that no output needs are left out.
 *
 * @throws GraphError when the graph has no output, or is a loop's body.
 */
export function encodeModel(graph: GraphBuilder): OnnxModel {
  if (graph.parent !== undefined) throw new GraphError(`graph ${graph.name} is a subgraph; encode the outermost one`);
  if (graph.outputs.length === 0) throw new GraphError(`graph ${graph.name} has no outputs`);
  const live = findLive(graph.outputs.map(({ value }) => value));
  const files = externalFiles(graph, live);
  const writer = new Writer(live, files);
  const domains = new Set([...live.nodes].map((node) => node.domain));
  domains.add('');
  const bytes = encodeModelProto({
    irVersion: IR_VERSION,
    producerName: '@zk0/onnx-train',
    opsetImport: [...domains].sort().map((domain) => ({ domain, version: domain === '' ? OPSET : 1 })),
    graph: writer.graph(graph),
  });
  return {
    bytes,
    inputs: new Map(graph.inputs.map(({ name, dtype, shape }) => [name, { dtype, shape }])),
    outputs: new Map(graph.outputs.map(({ name, value: { dtype, shape } }) => [name, { dtype, shape }])),
    externalDirectory: writer.directory,
    memory: memoryNeeds(graph, live.nodes),
  };
}

interface Live {
  readonly nodes: ReadonlySet<GraphNode>;
  readonly values: ReadonlySet<Value>;
}

/** Everything that values depend on, through subgraphs too. */
function findLive(from: readonly Value[]): Live {
  const nodes = new Set<GraphNode>();
  const values = new Set<Value>();
  const pending: Value[] = [...from];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (values.has(value)) continue;
    values.add(value);
    const node = value.producer;
    if (node === undefined || nodes.has(node)) continue;
    nodes.add(node);
    for (const input of node.inputs) if (input !== undefined) pending.push(input);
    for (const attribute of Object.values(node.attributes)) {
      if (typeof attribute === 'object' && 'body' in attribute) {
        pending.push(...attribute.body.outputs.map((output) => output.value));
      }
    }
  }
  return { nodes, values };
}

/** Real paths of the external data that live values need. */
function externalFiles(graph: GraphBuilder, live: Live): ReadonlyMap<Value, string> {
  const files = new Map<Value, string>();
  for (const [value, data] of graph.initializers) {
    if (!live.values.has(value) || !('external' in data)) continue;
    files.set(value, resolveExternalFile(value.name, data.external.path, data.external.offset + byteLength(value)));
  }
  return files;
}

function byteLength({ dtype, shape }: ValueType): number {
  return elementCount(shape) * DATA_TYPES[dtype].bytes;
}

class Writer {
  readonly directory: string | undefined;
  readonly #live: Live;
  readonly #files: ReadonlyMap<Value, string>;
  readonly #outputNames = new Map<Value, string>();

  constructor(live: Live, files: ReadonlyMap<Value, string>) {
    this.#live = live;
    this.#files = files;
    this.directory = commonDirectory(files.values());
  }

  graph(graph: GraphBuilder): GraphProto {
    // A computed value simply takes its output's name. An input or an initializer keeps its own, and so does a value
    // that is an output already or comes from a graph around this one; those are passed through an Identity.
    const copies = graph.outputs.filter(({ name, value }) => {
      if (value.producer === undefined || value.graph !== graph || this.#outputNames.has(value)) return true;
      this.#outputNames.set(value, name);
      return false;
    });
    return {
      name: graph.name,
      node: [
        ...graph.nodes.filter((node) => this.#live.nodes.has(node)).map((node) => this.#node(node)),
        ...copies.map(({ name, value }) => identity(this.#nameOf(value), name)),
      ],
      initializer: [...graph.initializers]
        .filter(([value]) => this.#live.values.has(value))
        .map(([value, data]) => this.#tensor(value, data)),
      input: graph.inputs.map((value) => valueInfo(value.name, value)),
      output: graph.outputs.map(({ name, value }) => valueInfo(name, value)),
    };
  }

  #nameOf(value: Value | undefined): string {
    return value === undefined ? '' : (this.#outputNames.get(value) ?? value.name);
  }

  #node(node: GraphNode): NodeProto {
    const outputs = node.outputs.map((value) => this.#nameOf(value));
    return {
      name: outputs[0]!,
      opType: node.opType,
      domain: node.domain,
      input: node.inputs.map((value) => this.#nameOf(value)),
      output: outputs,
      attribute: Object.entries(node.attributes).map(([name, value]) => this.#attribute(name, value)),
    };
  }

  #attribute(name: string, value: Attribute): AttributeProto {
    if (typeof value === 'number') return { name, type: ATTRIBUTE_TYPE.int, i: value };
    if (typeof value === 'string') return { name, type: ATTRIBUTE_TYPE.string, s: new TextEncoder().encode(value) };
    if (isNumbers(value)) return { name, type: ATTRIBUTE_TYPE.ints, ints: value };
    if ('float' in value) return { name, type: ATTRIBUTE_TYPE.float, f: value.float };
    return { name, type: ATTRIBUTE_TYPE.graph, g: this.graph(value.body) };
  }

  #tensor(value: Value, data: InitializerData): TensorProto {
    const common = { name: this.#nameOf(value), dims: value.shape, dataType: DATA_TYPES[value.dtype].code };
    if ('bytes' in data) return { ...common, rawData: data.bytes };
    const location = relative(this.directory!, this.#files.get(value)!).split(sep).join('/');
    return {
      ...common,
      dataLocation: EXTERNAL_LOCATION,
      externalData: [
        { key: 'location', value: location },
        { key: 'offset', value: String(data.external.offset) },
        { key: 'length', value: String(byteLength(value)) },
      ],
    };
  }
}

function identity(from: string, to: string): NodeProto {
  return { name: to, opType: 'Identity', domain: '', input: [from], output: [to], attribute: [] };
}

function isNumbers(value: Attribute): value is readonly number[] {
  return Array.isArray(value);
}

function valueInfo(name: string, { dtype, shape }: ValueType): ValueInfoProto {
  return {
    name,
    type: { tensorType: { elemType: DATA_TYPES[dtype].code, shape: { dim: shape.map((dimValue) => ({ dimValue })) } } },
  };
}

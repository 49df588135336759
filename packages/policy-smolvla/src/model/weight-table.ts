import { nn, ops, type GraphBuilder, type Value } from '@zk0/onnx-train';
import { PolicyError } from '../errors.ts';
import type { SmolVlaModelConfig } from './config.ts';
import type { WeightSource } from './graph-shape.ts';
import { factorName, loraScale } from './lora.ts';
import { weightSpecs, type WeightSpec } from './weights.ts';

/**
 * A model's weights as values, made when first asked for: those `given` are what they are (inputs, or a loop's state), the
 * rest are part of the model.
 */
export class WeightTable {
  readonly #graph: GraphBuilder;
  readonly #source: WeightSource;
  readonly #specs: ReadonlyMap<string, WeightSpec>;
  readonly #values: Map<string, Value>;
  readonly #loraScale: number;

  constructor(graph: GraphBuilder, config: SmolVlaModelConfig, source: WeightSource, given: ReadonlyMap<string, Value> = new Map()) {
    this.#graph = graph;
    this.#source = source;
    this.#specs = new Map(weightSpecs(config).map((spec) => [spec.name, spec]));
    this.#values = new Map(given);
    this.#loraScale = loraScale(config);
  }

  /** The float32 value of a tensor, by LeRobot's name. */
  get(name: string): Value {
    const known = this.#values.get(name);
    if (known !== undefined) return known;
    const value = this.#make(name);
    this.#values.set(name, value);
    return value;
  }

  /** `<layer>.weight` and `<layer>.bias`. */
  affine(layer: string): readonly [weight: Value, bias: Value] {
    return [this.get(`${layer}.weight`), this.get(`${layer}.bias`)];
  }

  /**
   * The linear layer `<layer>.weight`, with `<layer>.bias` where there is one, and with `alpha / rank · B · A` where factors
   * were given for it. The factors are applied one after the other, so that no gradient of the weight's size is ever made.
   */
  linear(x: Value, layer: string): Value {
    const weight = `${layer}.weight`;
    const bias = this.#specs.has(`${layer}.bias`) ? [this.get(`${layer}.bias`)] : [];
    const full = nn.linear(x, this.get(weight), ...bias);
    const [a, b] = [this.#values.get(factorName(weight, 'A')), this.#values.get(factorName(weight, 'B'))];
    if (a === undefined || b === undefined) return full;
    return ops.add(full, nn.linear(ops.mul(nn.linear(x, a), this.#loraScale), b));
  }

  #make(name: string): Value {
    const spec = this.#specs.get(name);
    if (spec === undefined) throw new PolicyError('POLICY_TENSORS_MISMATCH', `the model has no tensor ${name}`);
    const tensor = this.#source(name);
    if (tensor === undefined) {
      throw new PolicyError('POLICY_TENSORS_MISMATCH', `no data for the tensor ${name} [${spec.shape.join(', ')}]`, {
        hint: 'Use a checkpoint that holds every tensor of its configuration.',
      });
    }
    const { dtype, data } = tensor;
    const value =
      'bytes' in data
        ? this.#graph.initializer(name, dtype, spec.shape, data.bytes)
        : this.#graph.externalInitializer(name, dtype, spec.shape, data.external);
    return ops.cast(value, 'float32');
  }
}

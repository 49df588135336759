import { nn, ops, type Value } from '@zk0/onnx-train';
import { attend, causalBias, headsOf, keyBias, rotate, rotationAt, rowsOf, swiGlu, tokensOf, type Rotation } from './blocks.ts';
import { isSelfAttention, modelSizes, type SmolVlaModelConfig } from './config.ts';
import { encodeState, validTokens, withOneMore, type KeysValues, type Prefix } from './decoder.ts';
import type { WeightTable } from './weight-table.ts';
import { EXPERT_PREFIX, HEADS_PREFIX, pairedLayers } from './weights.ts';

/** The keys and values that one expert layer finds before it looks at any action: [batch, kvHeads, tokens, headDim]. */
interface LayerContext {
  /** The expert's own number for the layer. */
  readonly expert: number;
  /** Whether the actions see each other in this layer. */
  readonly joint: boolean;
  readonly keys: Value;
  readonly values: Value;
}

/** All that the expert needs of an observation. The same for every denoising step. */
export interface ExpertContext {
  readonly layers: readonly LayerContext[];
  /** Hides the observation's padding from actions: [batch, 1, 1, observed tokens]. */
  readonly crossBias: Value;
  /** The same, and the actions causally: [batch, 1, chunk, observed tokens + chunk]. */
  readonly jointBias: Value;
  /** Positions of the actions behind the observation, and counted from 0. */
  readonly jointRotation: Rotation;
  readonly crossRotation: Rotation;
}

/** Runs the state token behind the prefix and prepares what the expert's layers look at. */
export function observe(config: SmolVlaModelConfig, weights: WeightTable, prefix: Prefix, state: Value): ExpertContext {
  const { chunkSize } = config;
  const { headDim } = config.text;
  const { graph } = state;
  const stateLayers = encodeState(config, weights, prefix, state);
  const layers = pairedLayers(config).flatMap(({ text, expert }): LayerContext[] => {
    if (expert === undefined) return [];
    const joint = isSelfAttention(config, text);
    const seen = [prefix.layers[text]!, stateLayers[text]!].map((part) => (joint ? part : reproject(weights, expert, part)));
    const heads = (which: keyof KeysValues): Value =>
      ops.concat(seen.map((part) => nn.splitHeads(part[which], config.text.kvHeads)), 2);
    return [{ expert, joint, keys: heads('keys'), values: heads('values') }];
  });
  const crossBias = keyBias(withOneMore(prefix.mask));
  const [batch, , , observed] = crossBias.shape as [number, number, number, number];
  const steps = graph.constant(Array.from({ length: chunkSize }, (_, index) => index), 'float32', [1, chunkSize]);
  return {
    layers,
    crossBias,
    jointBias: ops.concat(
      [
        ops.expand(crossBias, [batch, 1, chunkSize, observed]),
        ops.expand(causalBias(graph, chunkSize), [batch, 1, chunkSize, chunkSize]),
      ],
      3,
    ),
    jointRotation: rotationAt(ops.add(ops.add(validTokens(prefix), 1), steps), headDim, observed + chunkSize),
    crossRotation: rotationAt(steps, headDim, chunkSize),
  };
}

/**
 * The velocity that the expert predicts for noisy actions [batch, chunk, maxActionDim] at a time given by its embedding
 * [batch or 1, expertWidth].
 */
export function predictVelocity(
  config: SmolVlaModelConfig,
  weights: WeightTable,
  context: ExpertContext,
  noisyActions: Value,
  timeEmbedding: Value,
): Value {
  const { heads, kvHeads, rmsNormEps } = config.text;
  const [batch] = noisyActions.shape as [number];
  let x = embedActions(config, weights, noisyActions, timeEmbedding);
  for (const { expert, joint, keys, values } of context.layers) {
    const layer = `${EXPERT_PREFIX}.layers.${expert}`;
    const weight = (name: string): Value => weights.get(`${layer}.${name}.weight`);
    const before = ops.simplifiedLayerNormalization(x, weight('input_layernorm'), rmsNormEps);
    const rotation = joint ? context.jointRotation : context.crossRotation;
    const query = rotate(headsOf(weights.linear(before, `${layer}.self_attn.q_proj`), batch, heads), rotation);
    let attended: Value;
    if (joint) {
      const ownKeys = rotate(headsOf(nn.linear(before, weight('self_attn.k_proj')), batch, kvHeads), rotation);
      const ownValues = headsOf(weights.linear(before, `${layer}.self_attn.v_proj`), batch, kvHeads);
      attended = attend(query, ops.concat([keys, ownKeys], 2), ops.concat([values, ownValues], 2), context.jointBias);
    } else {
      attended = attend(query, keys, values, context.crossBias);
    }
    x = ops.add(x, nn.linear(rowsOf(attended), weight('self_attn.o_proj')));
    const middle = ops.simplifiedLayerNormalization(x, weight('post_attention_layernorm'), rmsNormEps);
    x = ops.add(x, swiGlu(middle, weight('mlp.gate_proj'), weight('mlp.up_proj'), weight('mlp.down_proj')));
  }
  const last = ops.simplifiedLayerNormalization(x, weights.get(`${EXPERT_PREFIX}.norm.weight`), rmsNormEps);
  return tokensOf(weights.linear(last, `${HEADS_PREFIX}.action_out_proj`), batch);
}

/** A cross-attention layer looks at the text model's keys and values through projections of its own. */
function reproject(weights: WeightTable, expert: number, { keys, values }: KeysValues): KeysValues {
  const attention = `${EXPERT_PREFIX}.layers.${expert}.self_attn`;
  return {
    keys: nn.linear(keys, weights.get(`${attention}.k_proj.weight`)),
    values: weights.linear(values, `${attention}.v_proj`),
  };
}

/** Noisy actions and their time, mixed into the expert's tokens (`embed_suffix`), as rows. */
function embedActions(config: SmolVlaModelConfig, weights: WeightTable, noisyActions: Value, timeEmbedding: Value): Value {
  const [batch, chunk] = noisyActions.shape as [number, number];
  const { expertWidth } = modelSizes(config);
  const actions = weights.linear(noisyActions, `${HEADS_PREFIX}.action_in_proj`);
  const time = ops.expand(ops.unsqueeze(timeEmbedding, [1]), [batch, chunk, expertWidth]);
  const mixed = weights.linear(rowsOf(ops.concat([actions, time], 2)), `${HEADS_PREFIX}.action_time_mlp_in`);
  return weights.linear(nn.silu(mixed), `${HEADS_PREFIX}.action_time_mlp_out`);
}

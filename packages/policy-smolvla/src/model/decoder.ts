import { nn, ops, type Value } from '@zk0/onnx-train';
import { attend, headsOf, keyBias, rotate, rotationAt, rowsOf, swiGlu, tokensOf, type Rotation } from './blocks.ts';
import { modelSizes, type SmolVlaModelConfig } from './config.ts';
import type { WeightTable } from './weight-table.ts';
import { EMBEDDING_WEIGHT, HEADS_PREFIX, TEXT_PREFIX } from './weights.ts';

/** Keys (turned by their positions) and values that one text layer made of some tokens: [batch, tokens, kvWidth] each. */
export interface KeysValues {
  readonly keys: Value;
  readonly values: Value;
}

/** What the image and language tokens leave behind for the tokens after them. */
export interface Prefix {
  /** By text layer, up to the last one that reaches the expert. */
  readonly layers: readonly KeysValues[];
  /** Bool [batch, tokens]: which of them are there. */
  readonly mask: Value;
}

/** The tokens of a batch, before the text model. */
export interface PrefixTokens {
  /** [batch, cameras, tokens, text width], scaled. */
  readonly imageTokens: Value;
  /** Bool [batch, cameras]. */
  readonly imageMask: Value;
  /** int64 [batch, language tokens]. */
  readonly tokenIds: Value;
  /** Bool [batch, language tokens]. */
  readonly tokenMask: Value;
}

/** Runs image and language tokens through the text model, as far as anything after them depends on it. */
export function encodePrefix(
  config: SmolVlaModelConfig,
  weights: WeightTable,
  tokens: PrefixTokens,
  emptyCameras: number,
): Prefix {
  const { embeddings, mask } = embedPrefix(config, weights, tokens, emptyCameras);
  const counted = ops.cumSum(ops.cast(mask, 'float32'), 1);
  const rotation = rotationAt(ops.sub(counted, 1), config.text.headDim, mask.shape[1]!);
  return { layers: runTextLayers(config, weights, embeddings, rotation, keyBias(mask)), mask };
}

/**
 * Runs the state token alone: it sees the prefix and itself, nothing before it sees the state.
 * `state` is [batch, maxStateDim]; the result has one token.
 */
export function encodeState(config: SmolVlaModelConfig, weights: WeightTable, prefix: Prefix, state: Value): readonly KeysValues[] {
  const embedded = ops.unsqueeze(weights.linear(state, `${HEADS_PREFIX}.state_proj`), [1]);
  const rotation = rotationAt(validTokens(prefix), config.text.headDim, prefix.mask.shape[1]!);
  return runTextLayers(config, weights, embedded, rotation, keyBias(withOneMore(prefix.mask)), prefix.layers);
}

/** Number of tokens that are there, float32 [batch, 1]: the position of the token behind them. */
export function validTokens(prefix: Prefix): Value {
  return ops.reduceSum(ops.cast(prefix.mask, 'float32'), { axes: [1], keepDims: true });
}

/** A mask with one token more, which is there. */
export function withOneMore(mask: Value): Value {
  const one = mask.graph.constant(Array.from({ length: mask.shape[0]! }, () => 1), 'float32', [mask.shape[0]!, 1]);
  return joinMasks([ops.cast(mask, 'float32'), one]);
}

/** Masks of tokens, 0 or 1 in float32, one behind the other as one of bools (GPU providers do not join bools). */
function joinMasks(masks: readonly Value[]): Value {
  return ops.cast(ops.concat(masks, 1), 'bool');
}

/** The text layers over tokens that see `past` and each other, all hidden where `bias` says so. */
function runTextLayers(
  config: SmolVlaModelConfig,
  weights: WeightTable,
  tokens: Value,
  rotation: Rotation,
  bias: Value,
  past?: readonly KeysValues[],
): KeysValues[] {
  const { heads, kvHeads, rmsNormEps } = config.text;
  const { prefixLayers } = modelSizes(config);
  const made: KeysValues[] = [];
  const [batch] = tokens.shape as [number];
  let x = rowsOf(tokens);
  for (let index = 0; index < prefixLayers; index++) {
    const layer = `${TEXT_PREFIX}.layers.${index}`;
    const weight = (name: string): Value => weights.get(`${layer}.${name}.weight`);
    const before = ops.simplifiedLayerNormalization(x, weight('input_layernorm'), rmsNormEps);
    const keyHeads = rotate(headsOf(nn.linear(before, weight('self_attn.k_proj')), batch, kvHeads), rotation);
    const values = nn.linear(before, weight('self_attn.v_proj'));
    made.push({ keys: nn.mergeHeads(keyHeads), values: tokensOf(values, batch) });
    if (index === prefixLayers - 1) break;
    const query = rotate(headsOf(nn.linear(before, weight('self_attn.q_proj')), batch, heads), rotation);
    const valueHeads = headsOf(values, batch, kvHeads);
    const earlier = past?.[index];
    const [allKeys, allValues] =
      earlier === undefined
        ? [keyHeads, valueHeads]
        : [
            ops.concat([nn.splitHeads(earlier.keys, kvHeads), keyHeads], 2),
            ops.concat([nn.splitHeads(earlier.values, kvHeads), valueHeads], 2),
          ];
    x = ops.add(x, nn.linear(rowsOf(attend(query, allKeys, allValues, bias)), weight('self_attn.o_proj')));
    const middle = ops.simplifiedLayerNormalization(x, weight('post_attention_layernorm'), rmsNormEps);
    x = ops.add(x, swiGlu(middle, weight('mlp.gate_proj'), weight('mlp.up_proj'), weight('mlp.down_proj')));
  }
  return made;
}

/** All tokens in LeRobot's order (`embed_prefix`), without the state: per camera its image, then the language. */
function embedPrefix(
  config: SmolVlaModelConfig,
  weights: WeightTable,
  { imageTokens, imageMask, tokenIds, tokenMask }: PrefixTokens,
  emptyCameras: number,
): { embeddings: Value; mask: Value } {
  const [batch, cameras, tokens, width] = imageTokens.shape as [number, number, number, number];
  const { graph } = imageTokens;
  const table = weights.get(EMBEDDING_WEIGHT);
  const embeddings: Value[] = [];
  const masks: Value[] = [];
  const cameraIsThere = ops.cast(imageMask, 'float32');
  // LeRobot scales image and language embeddings by the root of the width, but not those of the special tokens.
  const special = (ids: readonly number[]): void => {
    if (!config.addImageSpecialTokens) return;
    const rows = ops.unsqueeze(ops.gather(table, graph.constant(ids, 'int64')), [0]);
    embeddings.push(ops.expand(rows, [batch, ids.length, width]));
    masks.push(graph.constant(Array.from({ length: batch * ids.length }, () => 1), 'float32', [batch, ids.length]));
  };
  for (let camera = 0; camera < cameras + emptyCameras; camera++) {
    special([config.fakeImageTokenId, config.globalImageTokenId]);
    // An empty camera's image is hidden from every token, so only what stands around it is there.
    if (camera < cameras) {
      embeddings.push(ops.reshape(ops.slice(imageTokens, 1, camera, camera + 1), [batch, tokens, width]));
      masks.push(ops.expand(ops.slice(cameraIsThere, 1, camera, camera + 1), [batch, tokens]));
    }
    special([config.fakeImageTokenId]);
  }
  embeddings.push(ops.mul(ops.gather(table, tokenIds), Math.sqrt(width)));
  masks.push(ops.cast(tokenMask, 'float32'));
  return { embeddings: ops.concat(embeddings, 1), mask: joinMasks(masks) };
}

import { ops, type Value } from '@zk0/onnx-train';
import type { SmolVlaModelConfig } from './config.ts';
import { countEntries, type Loss } from './flow-matching.ts';
import type { Feed } from './graph-inputs.ts';
import type { GraphShape } from './graph-shape.ts';

/**
 * The loss of a batch that is computed in equal parts, as onnx-train's `differentiate` asks for it: part by part. It is a mean over the entries
 * of the whole batch, so each part's sum of squares is divided by the count of all.
 *
 * @param parts a divisor of the batch.
 * @param write writes the loss of a batch of that shape from what is fed.
 */
export function lossShares(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  parts: number,
  feed: Feed,
  write: (feed: Feed, shape: GraphShape) => Loss,
): (part: Value | undefined) => Value {
  const fed = once(feed);
  return (part) => {
    if (part === undefined) return write(fed, shape).mean;
    const { sum } = write(partOf(fed, parts, part), { ...shape, batch: shape.batch / parts });
    const count = countEntries(config, fed('actionIsPad', 'bool', [shape.batch, config.chunkSize]), shape.actionSize);
    return ops.div(sum, ops.max(count, 1));
  };
}

/** Inputs that are declared when they are first asked for, and are the same whenever they are asked for again. */
function once(feed: Feed): Feed {
  const known = new Map<string, Value>();
  return (name, dtype, shape) => {
    const value = known.get(name) ?? feed(name, dtype, shape);
    known.set(name, value);
    return value;
  };
}

/** What one of `parts` sees of inputs whose first size is the batch's. */
function partOf(feed: Feed, parts: number, part: Value): Feed {
  return (name, dtype, [rows, ...rest]) => ops.gather(ops.reshape(feed(name, dtype, [parts * rows!, ...rest]), [parts, rows!, ...rest]), part);
}

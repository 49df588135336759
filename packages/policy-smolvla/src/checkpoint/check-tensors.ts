import { sameShape, type TensorSpec } from '@zk0/core';
import type { SmolVlaModelConfig } from '../model/config.ts';
import { weightSpecs } from '../model/weights.ts';
import { PolicyError } from '../errors.ts';

/** Element types that weights may be stored in. */
const WEIGHT_DTYPES: readonly string[] = ['F32', 'BF16', 'F16'];
/** Tensors that an error lists of each kind before it says how many more there are. */
const MAX_LISTED = 20;

/** Statistics that LeRobot before 0.4 kept among the weights. */
export function isStatistic(name: string): boolean {
  return /^(normalize_inputs|normalize_targets|unnormalize_outputs)\./.test(name);
}

/**
 * Compares a checkpoint's tensors with those that its configuration calls for. A tensor that no output depends on (the
 * language head, the last layer's feed-forward part) may be missing.
 *
 * @throws PolicyError POLICY_TENSORS_MISMATCH listing everything that is missing, left over, misshapen or of a wrong dtype.
 */
export function checkTensors(config: SmolVlaModelConfig, found: readonly TensorSpec[]): void {
  const byName = new Map(found.map((spec) => [spec.name, spec]));
  const wanted = weightSpecs(config);
  const problems: string[] = [];
  const list = (what: string, names: readonly string[]): void => {
    if (names.length === 0) return;
    const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : '';
    problems.push(`${what}: ${names.slice(0, MAX_LISTED).join(', ')}${more}`);
  };
  list('missing', wanted.filter(({ name, used }) => used && !byName.has(name)).map(({ name }) => name));
  const known = new Set(wanted.map(({ name }) => name));
  list('not part of this architecture', [...byName.keys()].filter((name) => !known.has(name) && !isStatistic(name)));
  const present = wanted.flatMap((spec) => {
    const other = byName.get(spec.name);
    return other === undefined ? [] : [{ spec, other }];
  });
  list(
    'of another shape',
    present
      .filter(({ spec, other }) => !sameShape(spec.shape, other.shape))
      .map(({ spec, other }) => `${spec.name} [${other.shape.join(', ')}] instead of [${spec.shape.join(', ')}]`),
  );
  list(
    'of an unsupported dtype',
    present.filter(({ other }) => !WEIGHT_DTYPES.includes(other.dtype)).map(({ other }) => `${other.name} ${other.dtype}`),
  );
  if (problems.length === 0) return;
  throw new PolicyError('POLICY_TENSORS_MISMATCH', `the checkpoint's tensors do not fit its configuration: ${problems.join('; ')}`, {
    hint: 'Check that config.json belongs to these weights.',
  });
}

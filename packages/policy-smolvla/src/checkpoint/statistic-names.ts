/** What the name of a stored statistic says. */
export interface StatisticName {
  /** Name of the data set that it is of; empty where it names none. */
  readonly set: string;
  readonly kind: 'state' | 'action';
  /** `mean`, `std`, `min`, … */
  readonly statistic: string;
}

/**
 * Names in processor files: `observation.state.mean`, with the data set in front where a policy was trained on several
 * (`so100.buffer.observation.state.mean`).
 */
export function nameOfProcessor(name: string): StatisticName | null {
  const match = /^(?:(.+?)\.)?(observation\.state|action)\.(\w+)$/.exec(name);
  if (match === null) return null;
  const set = (match[1] ?? '').replace(/(^|\.)buffer$/, '');
  return { set, kind: match[2] === 'action' ? 'action' : 'state', statistic: match[3]! };
}

/**
 * Names among the weights of LeRobot before 0.4: `normalize_inputs.buffer_observation_state.mean` and
 * `unnormalize_outputs.buffer_action.mean`, with the data set in between where there are several.
 */
export function nameOfRelease03(name: string): StatisticName | null {
  const match = /^(normalize_inputs|unnormalize_outputs)\.(?:(.+?)[._])?buffer_(observation_state|action)\.(\w+)$/.exec(name);
  if (match === null) return null;
  const kind = match[3] === 'action' ? 'action' : 'state';
  if ((kind === 'action') !== (match[1] === 'unnormalize_outputs')) return null;
  return { set: match[2] ?? '', kind, statistic: match[4]! };
}

import type { EpisodeValues, MotionContext, MotionFinding } from './episode-motion.ts';
import { NOTE } from './thresholds-of-notes.ts';

/** One value of every frame, as recorded. */
interface Column {
  readonly name: string;
  readonly values: Float32Array;
}

/** Mean and spread of every action step, and of every value, over all episodes of a set. */
export interface SetSpreads {
  readonly actionStep: Float64Array;
  readonly state: { readonly mean: Float64Array; readonly std: Float64Array };
  readonly action: { readonly mean: Float64Array; readonly std: Float64Array };
}

/** Gathers what single episodes are compared with. */
export function spreadsOf(episodes: readonly EpisodeValues[], { stateNames, actionNames }: Pick<MotionContext, 'stateNames' | 'actionNames'>): SetSpreads {
  const state = new Spread(stateNames.length);
  const action = new Spread(actionNames.length);
  const steps = new Spread(actionNames.length);
  for (const values of episodes) {
    state.addRows(values.state);
    action.addRows(values.action);
    const size = actionNames.length;
    for (let i = size; i < values.action.length; i++) steps.add(i % size, values.action[i]! - values.action[i - size]!);
  }
  return { actionStep: steps.std(), state: { mean: state.mean(), std: state.std() }, action: { mean: action.mean(), std: action.std() } };
}

/** Finds in an episode what is worth a look whatever its units are. */
export function noteMotion(episode: EpisodeValues, context: MotionContext, spreads: SetSpreads): readonly MotionFinding[] {
  const states = columnsOf(episode.state, context.stateNames);
  const actions = columnsOf(episode.action, context.actionNames);
  const frames = states[0]?.values.length ?? 0;
  const short = tooShort(frames, context.fps);
  if (frames < 3) return short;
  return [
    ...short,
    ...stillJoints(states),
    ...frozenStates(states, context.fps),
    ...repeatedActions(actions),
    ...pinned(states, actions),
    ...actionJumps(actions, spreads.actionStep),
    ...unfollowed(states, actions),
    ...outliers(states, spreads.state, 'state'),
    ...outliers(actions, spreads.action, 'action'),
  ];
}

function tooShort(frames: number, fps: number): MotionFinding[] {
  if (frames >= NOTE.shortFrames && frames / fps >= NOTE.shortSeconds) return [];
  return [{ code: 'SHORT_EPISODE', message: `it has ${frames} frames, ${(frames / fps).toFixed(1)} s` }];
}

function stillJoints(states: readonly Column[]): MotionFinding[] {
  const spreads = states.map(({ values }) => spreadOf(values));
  const most = Math.max(...spreads);
  if (!(most > 0)) return [];
  const still = states.filter((_, i) => spreads[i]! < NOTE.stillShare * most).map(({ name }) => name);
  return still.length === 0 ? [] : [{ code: 'STILL_JOINT', message: `${still.join(', ')} ${still.length === 1 ? 'stands' : 'stand'} still while others move` }];
}

function frozenStates(states: readonly Column[], fps: number): MotionFinding[] {
  const frames = states[0]!.values.length;
  const least = Math.min(NOTE.frozenFrames, Math.round(NOTE.frozenSeconds * fps));
  const runs = equalRuns(states).filter(({ from, to }) => from > 0 && to < frames - 1 && to - from + 1 > least);
  if (runs.length === 0) return [];
  const longest = runs.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a));
  return [{ code: 'FROZEN_STATE', message: `all states are the same for ${longest.to - longest.from + 1} frames between rows that move`, frame: longest.from }];
}

function repeatedActions(actions: readonly Column[]): MotionFinding[] {
  const frames = actions[0]?.values.length ?? 0;
  const longest = equalRuns(actions).reduce<Run | null>((a, b) => (a === null || b.to - b.from > a.to - a.from ? b : a), null);
  if (longest === null || (longest.to - longest.from) / frames < NOTE.repeatedShare) return [];
  return [{ code: 'REPEATED_ACTION', message: `its action is the same for ${longest.to - longest.from + 1} frames, ${percent((longest.to - longest.from) / frames)} of it`, frame: longest.from }];
}

function pinned(states: readonly Column[], actions: readonly Column[]): MotionFinding[] {
  const of = (columns: readonly Column[], what: string): string[] =>
    columns.flatMap(({ name, values }) => {
      const [low, high] = endsOf(values);
      if (high - low < 1e-6) return [];
      let at = 0;
      for (const value of values) if (value - low <= 1e-6 || high - value <= 1e-6) at++;
      return at / values.length > NOTE.pinnedShare ? [`${what} of ${name} (${percent(at / values.length)})`] : [];
    });
  const found = [...of(states, 'state'), ...of(actions, 'action')];
  return found.length === 0 ? [] : [{ code: 'PINNED', message: `much of it at its lowest or highest value: ${found.join(', ')}` }];
}

function actionJumps(actions: readonly Column[], spread: Float64Array): MotionFinding[] {
  const frames = actions[0]?.values.length ?? 0;
  let [worst, at] = [0, 0];
  for (let frame = 1; frame < frames; frame++) {
    let sum = 0;
    for (const [i, { values }] of actions.entries()) sum += Math.abs(values[frame]! - values[frame - 1]!) / (spread[i]! > 0 ? spread[i]! : 1);
    if (sum > worst) [worst, at] = [sum, frame];
  }
  if (worst / Math.max(1, actions.length) <= NOTE.actionStep) return [];
  return [{ code: 'ACTION_JUMP', message: `its action jumps, by ${(worst / actions.length).toFixed(1)} times what is usual from frame to frame`, frame: at }];
}

/** By name where names agree, else by position, as policies do. */
function unfollowed(states: readonly Column[], actions: readonly Column[]): MotionFinding[] {
  const apart: string[] = [];
  const outside: string[] = [];
  for (const [i, action] of actions.entries()) {
    const state = states.find(({ name }) => name === action.name) ?? states[i];
    if (state === undefined) continue;
    const together = correlation(action.values, state.values);
    if (together !== null && together < NOTE.followCorrelation) apart.push(`${action.name} (${together.toFixed(2)})`);
    const [low, high] = endsOf(state.values);
    let beyond = 0;
    for (const value of action.values) if (value < low || value > high) beyond++;
    if (beyond / action.values.length > NOTE.outsideShare) outside.push(`${action.name} (${percent(beyond / action.values.length)})`);
  }
  return [
    ...(apart.length === 0 ? [] : [{ code: 'UNFOLLOWED' as const, message: `state and action hardly correlate: ${apart.join(', ')}` }]),
    ...(outside.length === 0 ? [] : [{ code: 'ACTION_RANGE' as const, message: `actions lie outside of what the states reach: ${outside.join(', ')}` }]),
  ];
}

function outliers(columns: readonly Column[], { mean, std }: SetSpreads['state'], what: string): MotionFinding[] {
  for (const [i, { name, values }] of columns.entries()) {
    if (!(std[i]! > 0)) continue;
    const at = values.findIndex((value) => Math.abs(value - mean[i]!) > NOTE.outlierSpreads * std[i]!);
    if (at !== -1) return [{ code: 'OUTLIER', message: `${what} of ${name} is ${values[at]!.toPrecision(4)}, over ${NOTE.outlierSpreads} spreads from the set's mean`, frame: at }];
  }
  return [];
}

interface Run {
  readonly from: number;
  readonly to: number;
}

/** Runs of rows that are equal in all columns, first and last row of each. */
function equalRuns(columns: readonly Column[]): readonly Run[] {
  const frames = columns[0]?.values.length ?? 0;
  const runs: Run[] = [];
  let from = 0;
  for (let frame = 1; frame <= frames; frame++) {
    if (frame < frames && columns.every(({ values }) => values[frame] === values[frame - 1])) continue;
    if (frame - 1 > from) runs.push({ from, to: frame - 1 });
    from = frame;
  }
  return runs;
}

function columnsOf(values: Float32Array, names: readonly string[]): readonly Column[] {
  const size = names.length;
  return names.map((name, i) => ({ name, values: Float32Array.from({ length: values.length / size }, (_, frame) => values[frame * size + i]!) }));
}

function endsOf(values: Float32Array): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function spreadOf(values: Float32Array): number {
  const one = new Spread(1);
  for (const value of values) one.add(0, value);
  return one.std()[0]!;
}

/** Pearson's; null where one of them does not vary. */
function correlation(a: Float32Array, b: Float32Array): number | null {
  const [first, second] = [new Spread(1), new Spread(1)];
  for (const value of a) first.add(0, value);
  for (const value of b) second.add(0, value);
  const [meanA, meanB, stdA, stdB] = [first.mean()[0]!, second.mean()[0]!, first.std()[0]!, second.std()[0]!];
  if (stdA === 0 || stdB === 0) return null;
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - meanA) * (b[i]! - meanB);
  return sum / a.length / (stdA * stdB);
}

/** Mean and spread of columns, by Welford's recurrence. */
class Spread {
  readonly #count: Float64Array;
  readonly #mean: Float64Array;
  readonly #m2: Float64Array;

  constructor(size: number) {
    this.#count = new Float64Array(size);
    this.#mean = new Float64Array(size);
    this.#m2 = new Float64Array(size);
  }

  add(column: number, value: number): void {
    const count = ++this.#count[column]!;
    const off = value - this.#mean[column]!;
    this.#mean[column]! += off / count;
    this.#m2[column]! += off * (value - this.#mean[column]!);
  }

  addRows(values: Float32Array): void {
    const size = this.#count.length;
    for (let i = 0; i < values.length; i++) this.add(i % size, values[i]!);
  }

  mean(): Float64Array {
    return this.#mean.slice();
  }

  std(): Float64Array {
    return this.#m2.map((m2, i) => Math.sqrt(m2 / Math.max(1, this.#count[i]!)));
  }
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

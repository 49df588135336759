import { InvalidArgumentError } from '@zk0/core';
import { parseEpisodeList, type RelabelRule, type SplitRule } from '@zk0/dataset-so100';

/** What `dataset split` takes. */
export interface SplitFlags {
  /** Each `name=fraction`, or `name=0-3,7`. */
  readonly part: readonly string[];
  readonly byTask?: boolean;
  readonly seed: string;
}

/**
 * Takes the parts of a split apart: shares and lists of episodes do not go together.
 *
 * @throws InvalidArgumentError for what is no part
 */
export function splitRule({ part, byTask, seed }: SplitFlags): SplitRule {
  if (byTask === true) {
    if (part.length > 0) throw new InvalidArgumentError('--by-task and --part do not go together', { hint: 'Parts by task are named after the tasks.' });
    return { kind: 'task' };
  }
  const parts = part.map((text) => {
    const [name, value] = splitAt(text, '=');
    if (value === undefined || name === '') throw new InvalidArgumentError(`--part ${text} is no part`, { hint: 'Write train=0.8 for a share, or train=0-79 for episodes.' });
    return { name, value };
  });
  const doubled = parts.find(({ name }, i) => parts.findIndex((other) => other.name === name) !== i);
  if (doubled !== undefined) throw new InvalidArgumentError(`two parts are named ${doubled.name}`, { hint: 'Give each a name of its own.' });
  if (parts.length === 0) throw new InvalidArgumentError('the split names no parts', { hint: 'Write --part train=0.8 --part test=0.2, or --by-task.' });
  // A share has a point, a list of episodes has none; the whole is a share of 1.0.
  const isShare = ({ value }: { readonly value: string }): boolean => /^\d*\.\d+$/.test(value);
  const shares = parts.filter(isShare);
  if (shares.length === parts.length) return { kind: 'fractions', parts: Object.fromEntries(parts.map(({ name, value }) => [name, Number(value)])), seed };
  if (shares.length > 0) throw new InvalidArgumentError(`--part ${shares[0]!.name}=${shares[0]!.value} is a share, others are lists of episodes`, { hint: 'Name all parts in one way.' });
  return { kind: 'episodes', parts: Object.fromEntries(parts.map(({ name, value }) => [name, parseEpisodeList(value)])) };
}

/** What `dataset relabel` takes. */
export interface RelabelFlags {
  /** Texts as recorded; the n-th becomes the n-th of `to`. */
  readonly task: readonly string[];
  readonly to: readonly string[];
  /** Each `0-3,7=text`. */
  readonly set: readonly string[];
}

/**
 * What becomes of tasks: what is said of episodes goes before what is said of texts.
 *
 * @throws InvalidArgumentError where a text is missing
 */
export function relabelRules({ task, to, set }: RelabelFlags): RelabelRule[] {
  if (task.length !== to.length) {
    throw new InvalidArgumentError(`${task.length} --task and ${to.length} --to are given`, { hint: 'Give each --task "old text" a --to "new text".' });
  }
  const byEpisode = set.map((text) => {
    const [list, value] = splitAt(text, '=');
    if (value === undefined) throw new InvalidArgumentError(`--set ${text} names no text`, { hint: 'Write --set "0-3,7=Pick up the cube."' });
    return { episodes: parseEpisodeList(list), to: value };
  });
  const rules = [...byEpisode, ...task.map((old, i) => ({ task: old, to: to[i]! }))];
  if (rules.length === 0) throw new InvalidArgumentError('no task is given another text', { hint: 'Write --task "old text" --to "new text", or --set "0-3,7=new text".' });
  return rules;
}

/** @throws InvalidArgumentError */
export function parseScore(text: string): number {
  const score = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;
  if (score > 0 && score <= 1) return score;
  throw new InvalidArgumentError(`--score-below ${text} is no score`, { hint: 'Scores go from 0 to 1: --score-below 0.6.' });
}

function splitAt(text: string, mark: string): [string, string | undefined] {
  const at = text.indexOf(mark);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

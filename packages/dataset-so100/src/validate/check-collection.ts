import type { EpisodeFacts } from './check-rows.ts';
import type { Recording } from '../read/recording.ts';
import { taskOfRow } from '../read/task-of-row.ts';
import type { Findings } from './findings.ts';

/** What a collection of episodes is held against, each with where the number comes from. All of it is told, none of it is a fault. */
export const COLLECTION = {
  /** A rule of thumb of those who fine-tune on these arms: fewer demonstrations of a task hardly suffice. */
  minEpisodesOfTask: 30,
  /** A task with a smaller share of the episodes, or so many times fewer than another, is hardly learned beside the others. */
  minTaskShare: 0.05,
  taskFactor: 10,
  /** Actions that policies predict at once: SmolVLA 50, ACT 100. Beyond an episode's end they are padding. */
  chunks: [50, 100],
  maxShorter: 0.1,
  /** Mean poses of the episodes closer together than this share of what the joints move through: the same movement over and over. */
  minDiversity: 0.05,
  maxCompared: 500,
  /** Means of the first and the last quarter of the episodes so many spreads apart: something was changed in between. */
  maxShift: 3,
  minEpisodesForShift: 10,
  /** A value that changes in less than this share of the steps, in over so many of the episodes: a joint that is not used. */
  staticSteps: 0.8,
  staticEpisodes: 0.8,
} as const;

/** Reports what the episodes of a dataset are together: few, one-sided, alike, changed half-way. */
export function checkCollection(recording: Recording, facts: readonly EpisodeFacts[], findings: Findings): void {
  if (facts.length === 0) return;
  checkTaskCounts(recording, facts, findings);
  checkChunks(facts, findings);
  const features = [
    { names: recording.info.state.names, key: recording.info.state.key, of: (fact: EpisodeFacts) => fact.content.state, moments: (fact: EpisodeFacts) => fact.state },
    { names: recording.info.action.names, key: recording.info.action.key, of: (fact: EpisodeFacts) => fact.content.action, moments: (fact: EpisodeFacts) => fact.action },
  ] as const;
  checkDiversity(facts, findings);
  for (const feature of features) {
    checkShift(facts, feature, findings);
    checkStatic(facts, feature, findings);
  }
}

interface Feature {
  readonly key: string;
  readonly names: readonly string[];
  readonly of: (fact: EpisodeFacts) => Float32Array;
  readonly moments: (fact: EpisodeFacts) => EpisodeFacts['state'];
}

function checkTaskCounts({ tasks }: Recording, facts: readonly EpisodeFacts[], findings: Findings): void {
  const counts = new Map<string, number>();
  for (const { episode, task } of facts) {
    const text = taskOfRow(tasks, task, episode).text?.trim() ?? '';
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const most = Math.max(...counts.values());
  for (const [text, count] of counts) {
    const shown = JSON.stringify(text.slice(0, 60));
    if (count < COLLECTION.minEpisodesOfTask) findings.add('info', 'FEW_EPISODES', `Of the task ${shown} there are ${count} episodes; ${COLLECTION.minEpisodesOfTask} and more are usual.`);
    if (counts.size > 1 && (count < COLLECTION.minTaskShare * facts.length || count * COLLECTION.taskFactor < most)) {
      findings.add('info', 'TASK_IMBALANCE', `The task ${shown} has ${count} of ${facts.length} episodes, another has ${most}.`);
    }
  }
}

function checkChunks(facts: readonly EpisodeFacts[], findings: Findings): void {
  for (const chunk of COLLECTION.chunks) {
    const shorter = facts.filter(({ episode }) => episode.length < chunk).length;
    if (shorter <= COLLECTION.maxShorter * facts.length) continue;
    findings.add('info', 'SHORT_FOR_CHUNK', `${shorter} of ${facts.length} episodes are shorter than a chunk of ${chunk} actions; what is beyond their end is padding.`);
    return;
  }
}

function checkDiversity(facts: readonly EpisodeFacts[], findings: Findings): void {
  if (facts.length < 2) return;
  const size = facts[0]!.state.mean.length;
  const range = Math.hypot(...Array.from({ length: size }, (_, i) => Math.max(...facts.map(({ state }) => state.max[i]!)) - Math.min(...facts.map(({ state }) => state.min[i]!))));
  // Evenly spread over the set where there are more: comparing all with all grows with the square.
  const step = Math.max(1, Math.ceil(facts.length / COLLECTION.maxCompared));
  const compared = facts.filter((_, i) => i % step === 0);
  let [sum, pairs] = [0, 0];
  for (const [i, { state }] of compared.entries()) {
    for (let j = 0; j < i; j++) {
      sum += Math.hypot(...Array.from(state.mean, (value, k) => value - compared[j]!.state.mean[k]!));
      pairs++;
    }
  }
  if (range === 0 || pairs === 0 || sum / pairs >= COLLECTION.minDiversity * range) return;
  findings.add('info', 'LOW_DIVERSITY', `Mean poses of the episodes are ${percent(sum / pairs / range)} of the joints' range apart: they show the same movement over and over.`);
}

function checkShift(facts: readonly EpisodeFacts[], { key, names, moments }: Feature, findings: Findings): void {
  if (facts.length < COLLECTION.minEpisodesForShift) return;
  const quarter = Math.floor(facts.length / 4);
  const [first, last] = [merged(facts.slice(0, quarter).map(moments)), merged(facts.slice(-quarter).map(moments))];
  const shifts = names.map((_, i) => Math.abs(last.mean[i]! - first.mean[i]!) / (first.std[i]! > 0 ? first.std[i]! : 1));
  const worst = shifts.indexOf(Math.max(...shifts));
  if (!(shifts[worst]! > COLLECTION.maxShift)) return;
  findings.add('info', 'SHIFT', `${key} "${names[worst]!}" is ${shifts[worst]!.toFixed(1)} spreads off in the last quarter of the episodes from what it was in the first: something was changed in between.`);
}

function merged(parts: readonly EpisodeFacts['state'][]): { mean: number[]; std: number[] } {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const mean = Array.from(parts[0]!.mean, (_, i) => parts.reduce((sum, part) => sum + part.mean[i]! * part.count, 0) / count);
  const std = mean.map((centre, i) => Math.sqrt(parts.reduce((sum, part) => sum + part.m2[i]! + part.count * (part.mean[i]! - centre) ** 2, 0) / count));
  return { mean, std };
}

function checkStatic(facts: readonly EpisodeFacts[], { key, names, of, moments }: Feature, findings: Findings): void {
  for (const [i, name] of names.entries()) {
    const still = facts.filter((fact) => {
      const { min, max } = moments(fact);
      // Values that never change at all are told as CONSTANT_FEATURE.
      if (min[i] === max[i]) return false;
      const values = of(fact);
      let same = 0;
      for (let at = names.length + i; at < values.length; at += names.length) if (values[at] === values[at - names.length]) same++;
      return same / (values.length / names.length - 1) > COLLECTION.staticSteps;
    }).length;
    if (still <= COLLECTION.staticEpisodes * facts.length) continue;
    findings.add('info', 'STATIC_VALUE', `${key} "${name}" hardly ever changes in ${still} of ${facts.length} episodes.`);
  }
}

/** A task text that says nothing. */
export function isPlaceholder(text: string): boolean {
  return text.trim().length < 3 || PLACEHOLDERS.has(text.trim().toLowerCase());
}

const PLACEHOLDERS: ReadonlySet<string> = new Set(['test', 'asdf', 'todo', 'tbd', 'n/a', 'none', 'null', 'xxx', 'task', 'placeholder', 'dummy', 'single task']);


function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

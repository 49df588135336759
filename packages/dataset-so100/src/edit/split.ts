import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { deriveSeed, InvalidArgumentError, Random } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { edit, type EditOptions, type EditResult } from './edit.ts';
import type { EditSource } from './edit-source.ts';
import { writeEdited, type EditedDataset } from './edit-writer.ts';
import { slugOf } from './slug.ts';

/**
 * Which episodes go into which part.
 *
 * - `fractions`: that share of the episodes, drawn with a seed; the shares may leave some out, and together are 1 at most;
 * - `episodes`: those named;
 * - `task`: those of each task, in parts named after them.
 */
export type SplitRule =
  | { readonly kind: 'fractions'; readonly parts: Readonly<Record<string, number>>; readonly seed: string }
  | { readonly kind: 'episodes'; readonly parts: Readonly<Record<string, readonly number[]>> }
  | { readonly kind: 'task' };

/** One part of a dataset that was split. */
export interface SplitPart extends EditedDataset {
  /** Recorded numbers of its episodes. */
  readonly from: readonly number[];
}

export interface SplitResult extends Pick<EditResult, 'warnings' | 'leftOut'> {
  /** By name. */
  readonly parts: Readonly<Record<string, SplitPart>>;
  /** Recorded numbers of the episodes that are in no part. */
  readonly unused: readonly number[];
}

const PART_NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

/**
 * Splits a dataset into parts, each a dataset of format v3.0 in a folder of its own inside `to`. No episode is in two.
 *
 * @param uri address of the dataset, see `openDataset`
 * @param to folder of the parts; must not exist
 * @throws InvalidArgumentError for shares and names that make no split
 * @throws DatasetError `DATASET_EPISODES` where episodes do not exist or a part would have none, `DATASET_OVERLAP` where one would be in
 *   two parts; whatever is wrong with the dataset
 * @throws DatasetWriteError `DATASET_EXISTS`, `DATASET_NOT_CONVERTIBLE`
 */
export async function splitDataset(uri: string, to: string, rule: SplitRule, options: EditOptions = {}): Promise<SplitResult> {
  if (rule.kind !== 'task') assertNames(Object.keys(rule.parts));
  return await edit(to, options, async ({ root, open, counter }) => {
    const source = await open(uri);
    const chosen = assign(source, rule);
    const onEpisode = counter([...chosen.values()].reduce((sum, { length }) => sum + length, 0));
    const parts: Record<string, SplitPart> = {};
    for (const [name, episodes] of chosen) {
      const folder = path.join(root, name);
      await mkdir(folder);
      const { wholeVideos, signal } = options;
      const hooks = { onEpisode, ...(wholeVideos === undefined ? {} : { wholeVideos }), ...(signal === undefined ? {} : { signal }) };
      const written = await writeEdited(folder, path.join(to, name), [{ source, episodes }], hooks);
      parts[name] = { ...written, from: episodes.map(({ episodeIndex }) => episodeIndex) };
    }
    const used = new Set([...chosen.values()].flat());
    return { parts, unused: source.episodes.filter((episode) => !used.has(episode)).map(({ episodeIndex }) => episodeIndex) };
  });
}

function assertNames(names: readonly string[]): void {
  if (names.length === 0) throw new InvalidArgumentError('the split names no parts', { hint: 'For example train=0.8 and test=0.2.' });
  const wrong = names.find((name) => !PART_NAME.test(name));
  if (wrong === undefined) return;
  throw new InvalidArgumentError(`"${wrong.slice(0, 80)}" cannot name a part`, { hint: 'Use letters, digits, dots and dashes: each part is a folder of that name.' });
}

function assign(source: EditSource, rule: SplitRule): Map<string, EpisodeRecord[]> {
  const parts = rule.kind === 'fractions' ? byFractions(source, rule) : rule.kind === 'episodes' ? byNumbers(source, rule.parts) : byTask(source);
  for (const [name, episodes] of parts) {
    if (episodes.length > 0) continue;
    throw new DatasetError('DATASET_EPISODES', `The part ${name} of ${source.uri} would have no episodes`, {
      hint: `The dataset has ${source.episodes.length} episodes: give the part a larger share.`,
    });
  }
  return parts;
}

function byFractions({ episodes }: EditSource, { parts, seed }: SplitRule & { kind: 'fractions' }): Map<string, EpisodeRecord[]> {
  const shares = Object.entries(parts);
  const total = shares.reduce((sum, [, share]) => sum + share, 0);
  const wrong = shares.find(([, share]) => !(share > 0 && share <= 1));
  if (wrong !== undefined || total > 1 + 1e-9) {
    const what = wrong === undefined ? `the shares make ${Number(total.toFixed(6))} together` : `the share of ${wrong[0]} is ${wrong[1]}`;
    throw new InvalidArgumentError(what, { hint: 'Shares are numbers above 0, and 1 at most together: train=0.8 and test=0.2.' });
  }
  const random = new Random(deriveSeed(seed, 'split'));
  const shuffled = [...episodes];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
  }
  // By the ends of the shares, so that shares that make 1 leave nobody out.
  let end = 0;
  let share = 0;
  return new Map(
    shares.map(([name, own]) => {
      const from = end;
      share += own;
      end = Math.round(share * shuffled.length);
      return [name, shuffled.slice(from, end).sort((a, b) => a.episodeIndex - b.episodeIndex)];
    }),
  );
}

function byNumbers({ uri, episodes }: EditSource, parts: Readonly<Record<string, readonly number[]>>): Map<string, EpisodeRecord[]> {
  const byNumber = new Map(episodes.map((episode) => [episode.episodeIndex, episode]));
  const partOf = new Map<number, string>();
  return new Map(
    Object.entries(parts).map(([name, numbers]) => {
      const chosen = [...new Set(numbers)].sort((a, b) => a - b).map((number) => {
        const episode = byNumber.get(number);
        if (episode === undefined) throw new DatasetError('DATASET_EPISODES', `${uri} has no episode ${number}, which ${name} asks for`, { episode: number });
        const other = partOf.get(number);
        if (other !== undefined) {
          throw new DatasetError('DATASET_OVERLAP', `Episode ${number} of ${uri} would be in ${other} and in ${name}`, { episode: number, hint: 'Name it for one of them.' });
        }
        partOf.set(number, name);
        return episode;
      });
      return [name, chosen];
    }),
  );
}

function byTask({ uri, episodes }: EditSource): Map<string, EpisodeRecord[]> {
  const parts = new Map<string, EpisodeRecord[]>();
  for (const episode of episodes) {
    const { tasks, episodeIndex } = episode;
    if (tasks.length !== 1 || tasks[0]!.trim() === '') {
      throw new DatasetError('DATASET_METADATA', `${uri}: episode ${episodeIndex} lists ${tasks.length} tasks, so that it belongs to no one part`, {
        episode: episodeIndex,
        hint: 'Leave it out with ?episodes=…, give it one task with `zk0-client dataset relabel`, or split by episodes.',
      });
    }
    const name = slugOf(tasks[0]!);
    parts.set(name, [...(parts.get(name) ?? []), episode]);
  }
  return parts;
}

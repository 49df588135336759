import { DatasetError } from '../errors.ts';
import { MAX_TASK_LENGTH } from '../limits.ts';
import { edit, type EditOptions, type EditResult } from './edit.ts';
import type { EditSource } from './edit-source.ts';
import { writeEdited } from './edit-writer.ts';

/** Gives rows another task: those that have one text, those of some episodes, or those that are both. */
export interface RelabelRule {
  /** The text as recorded; without it any, and none. */
  readonly task?: string;
  /** Recorded numbers; without them all. */
  readonly episodes?: readonly number[];
  readonly to: string;
}

export interface RelabelResult extends EditResult {
  /** For each rule, how many rows got its task. */
  readonly changed: readonly number[];
}

/**
 * Writes a copy of a dataset, in format v3.0, in which tasks have other texts. The first rule that fits a row decides; rows that none
 * fits keep their task.
 *
 * @param uri address of the dataset, see `openDataset`
 * @param to folder of the copy; must not exist
 * @throws DatasetError `DATASET_TASK` for texts that are empty or too long and for rules that fit no row, `DATASET_EPISODES` for episodes
 *   that do not exist; whatever is wrong with the dataset
 * @throws DatasetWriteError `DATASET_EXISTS`, `DATASET_NOT_CONVERTIBLE`
 */
export async function relabelDataset(uri: string, to: string, rules: readonly RelabelRule[], options: EditOptions = {}): Promise<RelabelResult> {
  for (const { to: text } of rules) {
    if (text.trim() !== '' && text.length <= MAX_TASK_LENGTH) continue;
    throw new DatasetError('DATASET_TASK', `A task has from 1 to ${MAX_TASK_LENGTH} characters, not ${text.trim().length === 0 ? 'none but blanks' : text.length}`);
  }
  if (rules.length === 0) throw new DatasetError('DATASET_TASK', 'No task is given another text', { hint: 'Name at least one.' });
  const changed = rules.map(() => 0);
  const relabelled = await edit(to, options, async ({ root, open, counter }) => {
    const source = await open(uri);
    const fitting = rules.map(({ task, episodes }) => {
      const numbers = episodes === undefined ? null : new Set(episodes);
      assertEpisodes(source, episodes ?? []);
      return (text: string | undefined, episode: number): boolean => (task === undefined || task === text) && numbers?.has(episode) !== false;
    });
    const texts = new Set<string>();
    const retask = (text: string | undefined, episode: number): string | undefined => {
      if (text !== undefined) texts.add(text);
      const rule = fitting.findIndex((fits) => fits(text, episode));
      if (rule === -1) return text;
      changed[rule]!++;
      return rules[rule]!.to;
    };
    const { wholeVideos, signal } = options;
    const hooks = { onEpisode: counter(source.episodes.length), ...(wholeVideos === undefined ? {} : { wholeVideos }), ...(signal === undefined ? {} : { signal }) };
    const written = await writeEdited(root, to, [{ source, episodes: source.episodes, retask }], hooks);
    const idle = changed.indexOf(0);
    if (idle !== -1) throw fitsNone(source, rules[idle]!, texts);
    return written;
  });
  return { ...relabelled, changed };
}

function assertEpisodes({ uri, episodes }: EditSource, wanted: readonly number[]): void {
  const known = new Set(episodes.map(({ episodeIndex }) => episodeIndex));
  const unknown = wanted.find((number) => !known.has(number));
  if (unknown !== undefined) throw new DatasetError('DATASET_EPISODES', `${uri} has no episode ${unknown} to relabel`, { episode: unknown });
}

function fitsNone({ uri }: EditSource, { task, episodes }: RelabelRule, texts: ReadonlySet<string>): DatasetError {
  const what = [...(task === undefined ? [] : [`the task ${JSON.stringify(task)}`]), ...(episodes === undefined ? [] : ['one of the episodes named'])].join(' in ');
  const listed = [...texts].slice(0, 10).map((text) => JSON.stringify(text.slice(0, 80))).join(', ');
  return new DatasetError('DATASET_TASK', `No row of ${uri} has ${what} that another rule has not changed before; its tasks are ${listed}`, {
    hint: 'Copy the text as it is, blanks included: `zk0-client dataset inspect` lists the tasks.',
  });
}

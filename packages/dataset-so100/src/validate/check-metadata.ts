import type { EpisodeRecord } from '../format/episodes.ts';
import { walkFiles } from '../format/walk-files.ts';
import type { Recording } from '../read/recording.ts';
import { isPlaceholder } from './check-collection.ts';
import type { Findings } from './findings.ts';

/** Reports episodes that are listed twice; the first is read. */
export function checkListing(listed: Recording, once: Recording, findings: Findings): void {
  const first = new Set(once.episodes);
  for (const doubled of listed.episodes) {
    if (first.has(doubled)) continue;
    const { episodeIndex } = doubled;
    const message = `${listed.folder.root}: episode ${episodeIndex} is listed twice in meta/.`;
    findings.add('error', 'DATASET_METADATA', message, { episode: episodeIndex });
  }
}

/** Compares the totals of `info.json` with the episodes listed, and reports what was unusual about the metadata. */
export function checkCounts({ info, episodes, tasks }: Recording, findings: Findings): void {
  for (const warning of info.warnings) findings.add('info', 'QUIRK', warning);
  const frames = episodes.reduce((sum, episode) => sum + episode.length, 0);
  if (info.totalEpisodes !== episodes.length) {
    findings.add('warning', 'COUNTS', `meta/info.json says ${info.totalEpisodes} episodes; ${episodes.length} are listed.`);
  }
  if (info.totalFrames !== frames) {
    findings.add('warning', 'COUNTS', `meta/info.json says ${info.totalFrames} frames; the episodes have ${frames}.`);
  }
  if (info.totalTasks !== null && info.totalTasks !== tasks.texts.size) {
    findings.add('warning', 'COUNTS', `meta/info.json says ${info.totalTasks} tasks; ${tasks.texts.size} are listed.`);
  }
  const last = episodes.at(-1)?.episodeIndex ?? -1;
  if (last !== episodes.length - 1) {
    findings.add('info', 'EPISODE_GAPS', `${episodes.length} episodes are numbered up to ${last}: some are missing.`);
  }
  for (const { episodeIndex, length } of episodes) {
    if (length === 0) findings.add('error', 'COUNTS', `Episode ${episodeIndex} has no frames.`, { episode: episodeIndex });
  }
}

/** Tasks with more words than this are cut by SmolVLA's tokenizer, which keeps 48 tokens. */
const MAX_WORDS = 40;

/**
 * Reports what is unusual about the table of tasks.
 *
 * @param describe says which texts a certain policy does not read whole; without, long ones are told by their words
 */
export function checkTaskTable({ folder, tasks, info }: Recording, findings: Findings, describe?: (texts: readonly string[]) => readonly string[]): void {
  const file = folder.join(info.version === 'v3.0' ? 'meta/tasks.parquet' : 'meta/tasks.jsonl');
  const byText = new Map<string, number>();
  for (const [index, text] of tasks.texts) {
    const shown = JSON.stringify(text.slice(0, 80));
    const other = byText.get(text.trim());
    if (text.trim() === '') findings.add('warning', 'TASK', `${file}: the text of task ${index} is empty.`, { file });
    else if (other !== undefined) findings.add('info', 'TASK', `${file}: ${shown} is listed as task ${other} and as task ${index}.`, { file });
    else byText.set(text.trim(), index);
    if (text.trim() !== '' && isPlaceholder(text)) findings.add('warning', 'TASK', `${file}: the text of task ${index} says nothing: ${shown}.`, { file });
    if (text !== text.trim() && text.trim() !== '') findings.add('info', 'TASK', `${file}: task ${index} has blanks around its text: ${shown}.`, { file });
    const words = text.split(/\s+/).length;
    if (describe === undefined && words > MAX_WORDS) findings.add('info', 'TASK', `${file}: task ${index} has ${words} words; a policy that reads 48 tokens does not see its end.`, { file });
  }
  for (const cut of describe?.([...tasks.texts.values()]) ?? []) findings.add('warning', 'TASK', `${file}: ${cut}.`, { file });
  for (const [index, texts] of tasks.doubled) {
    findings.add('warning', 'TASK', `${file}: task_index ${index} is listed with ${texts.length} texts.`, { file });
  }
}

/** Most files looked at in one folder tree. */
const MAX_FILES = 200_000;

/** Reports data and video files that no episode uses. */
export async function checkUnusedFiles(
  { folder }: Recording,
  episodes: readonly EpisodeRecord[],
  /** Data files in which rows were found, whatever the metadata says. */
  read: readonly string[],
  findings: Findings,
): Promise<void> {
  const used = new Set(read.concat(episodes.flatMap((episode) => [episode.dataFile, ...[...episode.videos.values()].map(({ file }) => file)])));
  for (const root of ['data', 'videos']) {
    // A folder that is not there, or leads out of the dataset, is reported where its files are looked for.
    const inside = await folder.resolve(root, { kind: 'folder' }).catch(() => null);
    if (inside === null) continue;
    const unused: string[] = [];
    let count = 0;
    for await (const path of walkFiles(inside)) {
      if (++count > MAX_FILES) break;
      const file = `${root}/${path}`;
      if (!used.has(file)) unused.push(file);
    }
    for (const file of unused.sort()) findings.add('info', 'UNUSED_FILE', `${file} belongs to no episode.`, { file: folder.join(file) });
  }
}

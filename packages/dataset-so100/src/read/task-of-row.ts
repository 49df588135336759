import type { EpisodeRecord } from '../format/episodes.ts';
import type { TaskTable } from '../format/tasks.ts';

/** The task of a row. */
export interface RowTask {
  /** Undefined where nothing says it for certain. */
  readonly text: string | undefined;
  /** What is wrong with what the dataset says, in words; null where nothing is. */
  readonly problem: string | null;
}

/**
 * Finds the text of a row's task: the one that its `task_index` has in `meta/tasks`. Where that is missing, doubled or blank, the
 * episode's own list says it, if it leaves one answer.
 *
 * @param index the row's `task_index`; undefined where rows have none
 */
export function taskOfRow(tasks: TaskTable, index: number | undefined, { tasks: listed }: EpisodeRecord): RowTask {
  const own = listed.filter(isSaid);
  const certain = own.length === 1 ? own[0] : undefined;
  if (index === undefined || tasks.texts.size === 0) {
    const several = own.length > 1 ? `it lists ${own.length} tasks, and no row says which; the first is taken` : null;
    return { text: own[0], problem: own.length === 0 ? 'it has no task' : several };
  }
  const doubled = tasks.doubled.get(index);
  if (doubled !== undefined) {
    const fitting = doubled.filter((text) => own.includes(text));
    return { text: fitting.length === 1 ? fitting[0] : undefined, problem: `task_index ${index} is listed in meta/tasks as ${quoted(doubled)}` };
  }
  const text = tasks.texts.get(index);
  if (text === undefined) return { text: certain, problem: `its rows have task_index ${index}, which meta/tasks does not list` };
  if (!isSaid(text)) return { text: certain, problem: `its rows have task_index ${index}, whose text is empty` };
  const isOther = own.length > 0 && !own.includes(text);
  return { text, problem: isOther ? `its rows say ${quoted([text])}, and its own list ${quoted(own)}; the rows are believed` : null };
}

/** Whether a text says anything. */
export function isSaid(text: string): boolean {
  return text.trim() !== '';
}

function quoted(texts: readonly string[]): string {
  return texts.slice(0, 3).map((text) => JSON.stringify(text.slice(0, 80))).join(' and ');
}

import { access } from 'node:fs/promises';
import { z } from 'zod';
import { DatasetError } from '../errors.ts';
import { MAX_TASK_LENGTH, MAX_TASKS } from '../limits.ts';
import { parseRow } from './episodes.ts';
import type { DatasetInfo } from './info.ts';
import type { DatasetFolder } from './path-template.ts';
import type { TableReader } from './table-reader.ts';
import { readJsonLines } from './text-files.ts';

const taskIndex = z.union([z.number().int(), z.bigint().transform(Number)]).pipe(z.number().int().min(0).max(2 ** 31));
const taskText = z.string().max(MAX_TASK_LENGTH);

/** Columns that hold the text in `meta/tasks.parquet`: a pandas index, named or not, or a plain column. */
const TEXT_COLUMNS = ['task', '__index_level_0__'];

/** The table of tasks, as recorded; empty where a dataset has none. */
export interface TaskTable {
  /** Task index → text; of an index that is listed again with another text, the first. */
  readonly texts: ReadonlyMap<number, string>;
  /** Indices that are listed with several texts → those. */
  readonly doubled: ReadonlyMap<number, readonly string[]>;
}

/**
 * Reads the table of tasks.
 *
 * @throws DatasetError naming file and row
 */
export async function readTasks(
  folder: DatasetFolder,
  info: DatasetInfo,
  tables: TableReader,
): Promise<TaskTable> {
  const relative = info.version === 'v3.0' ? 'meta/tasks.parquet' : 'meta/tasks.jsonl';
  const isThere = await access(folder.join(relative)).then(() => true, () => false);
  if (!isThere) return { texts: new Map(), doubled: new Map() };
  const file = await folder.resolve(relative);
  const rows = info.version === 'v3.0' ? await readTable(file, tables) : await readJsonLines(file, MAX_TASKS);
  const schema = z.looseObject({ task_index: taskIndex, task: taskText });
  const texts = new Map<number, string>();
  const doubled = new Map<number, string[]>();
  rows.forEach((row, line) => {
    const { task_index: key, task } = parseRow(schema, row, file, line);
    const known = texts.get(key);
    if (known === undefined) texts.set(key, task);
    else if (known !== task) doubled.set(key, [...new Set([...(doubled.get(key) ?? [known]), task])]);
  });
  return { texts, doubled };
}

async function readTable(file: string, tables: TableReader): Promise<unknown[]> {
  const rows = await tables.rows(file, { required: ['task_index'], optional: TEXT_COLUMNS }, MAX_TASKS);
  return rows.map((row) => {
    const text = TEXT_COLUMNS.find((column) => column in row);
    if (text === undefined) throw new DatasetError('DATASET_METADATA', `${file} has no column "task"`, { file });
    return { task_index: row['task_index'], task: row[text] };
  });
}

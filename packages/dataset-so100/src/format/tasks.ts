import { access } from 'node:fs/promises';
import { z } from 'zod';
import { DatasetError } from '../errors.ts';
import { MAX_TASK_LENGTH, MAX_TASKS } from '../limits.ts';
import { parseRow } from './episodes.ts';
import type { DatasetInfo } from './info.ts';
import { ParquetFile } from './parquet.ts';
import type { DatasetFolder } from './path-template.ts';
import { readJsonLines } from './text-files.ts';

const taskIndex = z.union([z.number().int(), z.bigint().transform(Number)]).pipe(z.number().int().min(0).max(2 ** 31));
const taskText = z.string().max(MAX_TASK_LENGTH);

/** Columns that hold the text in `meta/tasks.parquet`: a pandas index, named or not, or a plain column. */
const TEXT_COLUMNS = ['task', '__index_level_0__'];

/**
 * Reads the table of tasks: task index → text as recorded. Empty where a dataset has none.
 *
 * @throws DatasetError naming file and row
 */
export async function readTasks(folder: DatasetFolder, info: DatasetInfo): Promise<ReadonlyMap<number, string>> {
  const relative = info.version === 'v3.0' ? 'meta/tasks.parquet' : 'meta/tasks.jsonl';
  const isThere = await access(folder.join(relative)).then(() => true, () => false);
  if (!isThere) return new Map();
  const file = await folder.resolve(relative);
  const rows = info.version === 'v3.0' ? await readTable(file) : await readJsonLines(file, MAX_TASKS);
  const schema = z.looseObject({ task_index: taskIndex, task: taskText });
  const tasks = new Map<number, string>();
  rows.forEach((row, line) => {
    const { task_index: key, task } = parseRow(schema, row, file, line);
    tasks.set(key, task);
  });
  return tasks;
}

async function readTable(file: string): Promise<unknown[]> {
  const parquet = await ParquetFile.open(file, MAX_TASKS);
  try {
    const text = TEXT_COLUMNS.find((column) => parquet.columns.has(column));
    if (text === undefined || !parquet.columns.has('task_index')) {
      throw new DatasetError('DATASET_METADATA', `${file} needs the columns task_index and task`, { file });
    }
    const rows = await parquet.objects(['task_index', text]);
    return rows.map((row) => ({ task_index: row['task_index'], task: row[text] }));
  } finally {
    await parquet.close();
  }
}

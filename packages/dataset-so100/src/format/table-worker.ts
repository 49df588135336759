/** Thread that reads parquet files; started by `table-thread.ts`, which ends it when a damaged file makes it hang. */
import { parentPort } from 'node:worker_threads';
import { errorMessage } from '@zk0/core/errors';
import { DatasetError } from '../errors.ts';
import { readFrameTable } from '../read/frame-table.ts';
import { spoolImages } from './image-column.ts';
import { ParquetFile } from './parquet.ts';
import type { TableReply, TableTask } from './table-messages.ts';
import type { ColumnChoice, TableRow } from './table-reader.ts';

async function readRows(path: string, columns: ColumnChoice, maxRows: number): Promise<readonly TableRow[]> {
  const parquet = await ParquetFile.open(path, maxRows);
  try {
    const missing = columns.required.find((column) => !parquet.columns.has(column));
    if (missing !== undefined) {
      throw new DatasetError('DATASET_METADATA', `${path} has no column "${missing}"`, { file: path });
    }
    const present = columns.optional.filter((column) => parquet.columns.has(column));
    return await parquet.objects([...columns.required, ...present]);
  } finally {
    await parquet.close();
  }
}

async function perform(task: TableTask): Promise<TableReply> {
  try {
    switch (task.kind) {
      case 'frames':
        return { frames: await readFrameTable(task.path, task.state, task.action) };
      case 'images':
        return { images: await spoolImages(task.path, task.column, task.spool) };
      case 'rows':
        return { rows: await readRows(task.path, task.columns, task.maxRows) };
    }
  } catch (error) {
    if (!(error instanceof DatasetError)) return { failure: { code: 'DATASET_FILE_DAMAGED', message: `${task.path}: ${errorMessage(error)}` } };
    const { code, message, hint, file, row, episode } = error;
    return { failure: { code, message, hint, file, row, episode } };
  }
}

parentPort?.on('message', (task: TableTask | 'close') => {
  if (task === 'close') {
    parentPort?.close();
    return;
  }
  void perform(task).then((reply) => {
    const arrays = 'frames' in reply ? Object.values(reply.frames).filter((value) => ArrayBuffer.isView(value)) : [];
    parentPort?.postMessage(reply, arrays.map((array) => array.buffer as ArrayBuffer));
  });
});

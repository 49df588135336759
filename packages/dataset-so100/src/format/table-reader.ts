import type { FrameTable } from '../read/frame-table.ts';
import type { ImageColumn } from './image-column.ts';
import type { VectorFeature } from './info.ts';

/** Columns of a small table that are wanted. */
export interface ColumnChoice {
  readonly required: readonly string[];
  /** Read where they are there. */
  readonly optional: readonly string[];
}

/** A row of a small table, by column. */
export type TableRow = Readonly<Record<string, unknown>>;

/** Reads parquet files. Whatever they hold, a call ends: with data or a DatasetError, in bounded time and memory. */
export interface TableReader {
  /** Reads a data file whole; see `readFrameTable`. */
  frames(path: string, state: VectorFeature, action: VectorFeature): Promise<FrameTable>;
  /** Copies the pictures of a column into a new file; see `spoolImages`. */
  images(path: string, column: string, spool: string): Promise<ImageColumn>;
  /** Reads a small table of metadata. @throws DatasetError `DATASET_METADATA` naming a column that is missing */
  rows(path: string, columns: ColumnChoice, maxRows: number): Promise<readonly TableRow[]>;
}

import type { DatasetErrorCode } from '../errors.ts';
import type { FrameTable } from '../read/frame-table.ts';
import type { ImageColumn } from './image-column.ts';
import type { VectorFeature } from './info.ts';
import type { ColumnChoice, TableRow } from './table-reader.ts';

/** One file for the reading thread. */
export type TableTask =
  | { readonly kind: 'frames'; readonly path: string; readonly state: VectorFeature; readonly action: VectorFeature }
  | { readonly kind: 'images'; readonly path: string; readonly column: string; readonly spool: string }
  | { readonly kind: 'rows'; readonly path: string; readonly columns: ColumnChoice; readonly maxRows: number };

/** A DatasetError on its way between threads. */
export interface TableFailure {
  readonly code: DatasetErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly file?: string | undefined;
  readonly row?: number | undefined;
  readonly episode?: number | undefined;
}

/** The thread's answer. */
export type TableReply =
  | { readonly frames: FrameTable }
  | { readonly images: ImageColumn }
  | { readonly rows: readonly TableRow[] }
  | { readonly failure: TableFailure };

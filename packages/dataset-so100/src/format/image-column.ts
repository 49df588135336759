import { closeSync, openSync, writeSync } from 'node:fs';
import { DatasetError } from '../errors.ts';
import { MAX_FRAMES, MAX_IMAGE_BYTES, MAX_IMAGE_COLUMN_BYTES } from '../limits.ts';
import { ParquetFile, type ColumnChunk } from './parquet.ts';

/** Where the pictures of one column of a data file are, by row. */
export interface ImageColumn {
  /** First byte in the spool file; meaningless where `length` is 0. */
  readonly start: Float64Array;
  /** Bytes; 0 where the row holds no picture itself. */
  readonly length: Uint32Array;
  /** File that the row names instead or besides; null where it names none. */
  readonly paths: readonly (string | null)[];
}

/**
 * Copies the pictures of a column out of a data file, one after the other, into a file of their own: parquet gives one
 * row only by decoding a whole row group, so random access needs them elsewhere. One row group is in memory at a time.
 *
 * LeRobot stores `{bytes, path}`; plain bytes, and plain paths, occur too.
 *
 * @throws DatasetError naming file, row and column
 */
export async function spoolImages(path: string, column: string, spool: string): Promise<ImageColumn> {
  const parquet = await ParquetFile.open(path, MAX_FRAMES);
  const output = openSync(spool, 'wx', 0o600);
  try {
    const { rowCount } = parquet;
    const start = new Float64Array(rowCount);
    const length = new Uint32Array(rowCount);
    const paths = new Array<string | null>(rowCount).fill(null);
    let written = 0;
    const copy = ({ values, rowStart }: ColumnChunk): void => {
      if (rowStart + values.length > rowCount) throw new Error('a column has more rows than the file');
      for (let i = 0; i < values.length; i++) {
        const row = rowStart + i;
        const { bytes, name } = cellOf(values[i]);
        if (bytes !== null && bytes.length > MAX_IMAGE_BYTES) throw tooLarge(path, row, column, bytes.length);
        if (written > MAX_IMAGE_COLUMN_BYTES) throw tooLarge(path, row, column, written);
        paths[row] = name;
        if (bytes === null) continue;
        for (let done = 0; done < bytes.length; ) done += writeSync(output, bytes, done);
        start[row] = written;
        length[row] = bytes.length;
        written += bytes.length;
      }
    };
    if (parquet.columns.has(column)) await parquet.read([column], copy);
    return { start, length, paths };
  } finally {
    closeSync(output);
    await parquet.close();
  }
}

function cellOf(cell: unknown): { bytes: Uint8Array | null; name: string | null } {
  if (cell instanceof Uint8Array) return { bytes: cell, name: null };
  if (typeof cell === 'string') return { bytes: null, name: cell };
  const { bytes, path } = (cell ?? {}) as { bytes?: unknown; path?: unknown };
  return {
    bytes: bytes instanceof Uint8Array && bytes.length > 0 ? bytes : null,
    name: typeof path === 'string' ? path : null,
  };
}

function tooLarge(path: string, row: number, column: string, bytes: number): DatasetError {
  return new DatasetError('DATASET_LIMIT', `${path} row ${row}, column "${column}": ${bytes} bytes of pictures are too many`, {
    file: path,
    row,
  });
}

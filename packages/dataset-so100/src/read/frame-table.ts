import { DatasetError } from '../errors.ts';
import { MAX_FRAMES, MAX_ROW_BYTES } from '../limits.ts';
import type { VectorFeature } from '../format/info.ts';
import { ParquetFile, type ColumnChunk } from '../format/parquet.ts';

/** The rows of one data file as typed arrays. Columns that a file lacks are `null`. */
export interface FrameTable {
  readonly path: string;
  readonly rowCount: number;
  /** `rowCount × state size`, row-major. */
  readonly state: Float32Array;
  /** `rowCount × action size`, row-major. */
  readonly action: Float32Array;
  /** Seconds since the start of the episode. */
  readonly timestamp: Float64Array | null;
  readonly frameIndex: Float64Array | null;
  readonly episodeIndex: Float64Array | null;
  readonly taskIndex: Float64Array | null;
  /** Number of the row in the whole dataset, as recorded. */
  readonly index: Float64Array | null;
  /** Every column of the file → physical type of its values. */
  readonly columnTypes: Readonly<Record<string, string>>;
  /** Rows with a value that cannot be used → column and reason; what the arrays hold there means nothing. */
  readonly badRows: ReadonlyMap<number, string>;
}

/** A file with more bad rows than this is refused whole. */
const MAX_BAD_ROWS = 100_000;

/**
 * Reads one data file whole: LeRobot files hold one row group of a few thousand rows, and reading a part of a column
 * chunk costs as much as reading all of it.
 *
 * @throws DatasetError naming file, row and column
 */
export async function readFrameTable(path: string, state: VectorFeature, action: VectorFeature): Promise<FrameTable> {
  const parquet = await ParquetFile.open(path, MAX_FRAMES);
  try {
    const { rowCount } = parquet;
    const vectors = [state, action];
    if (rowCount * (state.names.length + action.names.length) * 4 > MAX_ROW_BYTES) {
      throw new DatasetError('DATASET_LIMIT', `${path} claims ${rowCount} rows of ${state.names.length} values`, {
        file: path,
      });
    }
    const missing = vectors.find((feature) => !parquet.columns.has(feature.key));
    if (missing !== undefined) {
      throw new DatasetError('DATASET_ROWS', `${path} has no column "${missing.key}"`, { file: path });
    }
    const writers = new Map<string, (chunk: ColumnChunk) => void>();
    const badRows = new BadRows(path);
    const [states, actions] = vectors.map((feature) => {
      const into = new Float32Array(rowCount * feature.names.length);
      writers.set(feature.key, (chunk) => {
        copyVectors(chunk, into, feature.names.length, badRows);
      });
      return into;
    });
    const scalar = (key: string, bad: BadRows | null = badRows): Float64Array | null => {
      if (!parquet.columns.has(key)) return null;
      const into = new Float64Array(rowCount);
      writers.set(key, (chunk) => {
        copyScalars(chunk, into, bad);
      });
      return into;
    };
    const table: FrameTable = {
      path,
      rowCount,
      state: states!,
      action: actions!,
      timestamp: scalar('timestamp'),
      frameIndex: scalar('frame_index'),
      episodeIndex: scalar('episode_index'),
      taskIndex: scalar('task_index'),
      // Nothing is found by it: a value that is no number is reported elsewhere, and stops nobody.
      index: scalar('index', null),
      columnTypes: parquet.columnTypes,
      badRows: badRows.list,
    };
    let cells = 0;
    await parquet.read([...writers.keys()], (chunk) => {
      if (chunk.rowStart + chunk.values.length > rowCount) throw new Error('a column has more rows than the file');
      writers.get(chunk.column)?.(chunk);
      cells += chunk.values.length;
    });
    if (cells !== rowCount * writers.size) {
      throw new DatasetError('DATASET_FILE_DAMAGED', `${path}: its columns hold ${cells} values, not ${rowCount} each`, {
        file: path,
      });
    }
    return table;
  } finally {
    await parquet.close();
  }
}

function copyVectors(chunk: ColumnChunk, into: Float32Array, size: number, bad: BadRows): void {
  const { values, rowStart, column } = chunk;
  for (let i = 0; i < values.length; i++) {
    const vector = values[i] as ArrayLike<unknown> | null | undefined;
    const row = rowStart + i;
    if (typeof vector !== 'object' || vector === null || vector.length !== size) {
      const found = typeof vector === 'object' && vector !== null ? `${vector.length} values` : 'no list';
      bad.add(row, column, `${found} where ${size} values belong`);
      continue;
    }
    for (let j = 0; j < size; j++) {
      const value = Math.fround(Number(vector[j] ?? NaN));
      if (Number.isFinite(value)) into[row * size + j] = value;
      else bad.add(row, column, `value ${j} is ${String(vector[j])}`);
    }
  }
}

function copyScalars(chunk: ColumnChunk, into: Float64Array, bad: BadRows | null): void {
  const { values, rowStart, column } = chunk;
  for (let i = 0; i < values.length; i++) {
    const cell = values[i];
    // Some writers store scalars as lists of one.
    const value = Number((typeof cell === 'object' && cell !== null ? (cell as ArrayLike<unknown>)[0] : cell) ?? NaN);
    into[rowStart + i] = value;
    if (!Number.isFinite(value)) bad?.add(rowStart + i, column, `the value is ${String(cell)}`);
  }
}

/** Gathers the rows that cannot be used; a row's first fault is kept. */
class BadRows {
  readonly list = new Map<number, string>();
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  add(row: number, column: string, what: string): void {
    if (this.list.has(row)) return;
    this.list.set(row, `column "${column}": ${what}`);
    if (this.list.size <= MAX_BAD_ROWS) return;
    const message = `${this.#path} row ${row}, column "${column}": ${what}, as in ${MAX_BAD_ROWS} rows before`;
    throw new DatasetError('DATASET_ROWS', message, { file: this.#path, row });
  }
}

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
}

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
    const [states, actions] = vectors.map((feature) => {
      const into = new Float32Array(rowCount * feature.names.length);
      writers.set(feature.key, (chunk) => {
        copyVectors(chunk, into, feature.names.length, path);
      });
      return into;
    });
    const scalar = (key: string): Float64Array | null => {
      if (!parquet.columns.has(key)) return null;
      const into = new Float64Array(rowCount);
      writers.set(key, (chunk) => {
        copyScalars(chunk, into, path);
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

function copyVectors(chunk: ColumnChunk, into: Float32Array, size: number, path: string): void {
  const { values, rowStart, column } = chunk;
  for (let i = 0; i < values.length; i++) {
    const vector = values[i] as ArrayLike<unknown> | null | undefined;
    const row = rowStart + i;
    if (typeof vector !== 'object' || vector === null || vector.length !== size) {
      const found = typeof vector === 'object' && vector !== null ? `${vector.length} values` : 'no list';
      throw badRow(path, row, column, `${found} where ${size} values belong`);
    }
    for (let j = 0; j < size; j++) {
      const value = Math.fround(Number(vector[j] ?? NaN));
      if (!Number.isFinite(value)) throw badRow(path, row, column, `value ${j} is ${String(vector[j])}`);
      into[row * size + j] = value;
    }
  }
}

function copyScalars(chunk: ColumnChunk, into: Float64Array, path: string): void {
  const { values, rowStart, column } = chunk;
  for (let i = 0; i < values.length; i++) {
    const cell = values[i];
    // Some writers store scalars as lists of one.
    const value = Number((typeof cell === 'object' && cell !== null ? (cell as ArrayLike<unknown>)[0] : cell) ?? NaN);
    if (!Number.isFinite(value)) throw badRow(path, rowStart + i, column, `the value is ${String(cell)}`);
    into[rowStart + i] = value;
  }
}

function badRow(path: string, row: number, column: string, what: string): DatasetError {
  return new DatasetError('DATASET_ROWS', `${path} row ${row}, column "${column}": ${what}`, {
    file: path,
    row,
    hint: 'Leave the episode out with ?episodes=…, or record it again.',
  });
}

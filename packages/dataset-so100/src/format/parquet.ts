import { open, type FileHandle } from 'node:fs/promises';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { errorMessage } from '@zk0/core/errors';
import {
  parquetMetadataAsync,
  parquetRead,
  parquetReadObjects,
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
} from 'hyparquet';
import { DatasetError } from '../errors.ts';
import { MAX_PARQUET_CHUNK_BYTES, MAX_PARQUET_FOOTER_BYTES } from '../limits.ts';
import { decompressLz4Block, decompressLz4Hadoop } from './lz4.ts';

/** A run of consecutive rows of one column, as hyparquet hands them over. */
export interface ColumnChunk {
  readonly column: string;
  readonly rowStart: number;
  readonly values: ArrayLike<unknown>;
}

type Decompress = (input: Uint8Array, outputLength: number) => Uint8Array;

const bounded =
  (decompress: Decompress): Decompress =>
  (input, outputLength) => {
    if (outputLength > MAX_PARQUET_CHUNK_BYTES) throw new Error(`a page claims ${outputLength} bytes`);
    return decompress(input, outputLength);
  };

const fromNode = (decompress: (input: Uint8Array, options: { maxOutputLength: number }) => Uint8Array): Decompress =>
  bounded((input, outputLength) => decompress(input, { maxOutputLength: Math.max(1, outputLength) }));

/** Snappy is built into hyparquet; LZ4 is here, the others come from Node. */
const COMPRESSORS: Compressors = {
  ZSTD: fromNode(zstdDecompressSync),
  GZIP: fromNode(gunzipSync),
  BROTLI: fromNode(brotliDecompressSync),
  LZ4_RAW: bounded(decompressLz4Block),
  LZ4: bounded(decompressLz4Hadoop),
};
const READ_CODECS: readonly string[] = ['UNCOMPRESSED', 'SNAPPY', ...Object.keys(COMPRESSORS)];

/** One parquet file, opened: its size and columns are known and within bounds; nothing else is read yet. */
export class ParquetFile {
  readonly path: string;
  readonly rowCount: number;
  readonly columns: ReadonlySet<string>;
  /** Top-level column → physical type of its values. */
  readonly columnTypes: Readonly<Record<string, string>>;
  readonly #metadata: FileMetaData;
  readonly #buffer: AsyncBuffer;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle, buffer: AsyncBuffer, metadata: FileMetaData) {
    this.path = path;
    this.#handle = handle;
    this.#buffer = buffer;
    this.#metadata = metadata;
    this.rowCount = Number(metadata.num_rows);
    const leaves = topLevelColumns(metadata);
    this.columns = new Set(leaves.keys());
    this.columnTypes = Object.fromEntries(leaves);
  }

  /**
   * @param maxRows more rows than this are refused
   * @throws DatasetError `DATASET_FILE_DAMAGED` or `DATASET_LIMIT`
   */
  static async open(path: string, maxRows: number): Promise<ParquetFile> {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      const buffer: AsyncBuffer = { byteLength: size, slice: (start, end = size) => readRange(handle, start, end) };
      await checkFooter(buffer, path);
      const metadata = await parquetMetadataAsync(buffer);
      checkMetadata(metadata, size, path, maxRows);
      return new ParquetFile(path, handle, buffer, metadata);
    } catch (error) {
      await handle.close();
      // A damaged footer decodes to values of any type: whatever fails on them is the file's fault.
      throw error instanceof DatasetError ? error : damaged(path, error);
    }
  }

  /** Hands over the named columns, chunk by chunk; chunks of different columns come in any order. */
  async read(columns: readonly string[], onChunk: (chunk: ColumnChunk) => void): Promise<void> {
    this.#checkChunks(columns);
    // hyparquet calls back from promises that nobody awaits: what is thrown there would end the process.
    const thrown: unknown[] = [];
    await this.#guard(
      parquetRead({
        file: this.#buffer,
        metadata: this.#metadata,
        columns: [...columns],
        compressors: COMPRESSORS,
        utf8: false,
        onChunk: (chunk) => {
          if (thrown.length > 0) return;
          try {
            onChunk({ column: chunk.columnName, rowStart: chunk.rowStart, values: chunk.columnData });
          } catch (error) {
            thrown.push(error);
          }
        },
      }),
    );
    if (thrown.length > 0) throw thrown[0] instanceof DatasetError ? thrown[0] : damaged(this.path, thrown[0]);
  }

  /** Reads whole rows as objects. For small tables only. */
  async objects(columns: readonly string[]): Promise<readonly Record<string, unknown>[]> {
    this.#checkChunks(columns);
    return await this.#guard(
      parquetReadObjects({
        file: this.#buffer,
        metadata: this.#metadata,
        columns: [...columns],
        compressors: COMPRESSORS,
      }),
    );
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #guard<T>(reading: Promise<T>): Promise<T> {
    try {
      return await reading;
    } catch (cause) {
      throw cause instanceof DatasetError ? cause : damaged(this.path, cause);
    }
  }

  #checkChunks(columns: readonly string[]): void {
    for (const group of this.#metadata.row_groups) {
      for (const { meta_data: chunk } of group.columns) {
        if (chunk === undefined || !columns.includes(chunk.path_in_schema[0] ?? '')) continue;
        if (chunk.total_uncompressed_size > MAX_PARQUET_CHUNK_BYTES || chunk.num_values > MAX_PARQUET_CHUNK_BYTES) {
          const column = chunk.path_in_schema.join('.');
          throw new DatasetError('DATASET_LIMIT', `${this.path}: column ${column} claims too many bytes`, {
            file: this.path,
          });
        }
        if (!READ_CODECS.includes(chunk.codec)) {
          throw new DatasetError('DATASET_COMPRESSION', `${this.path}: column ${chunk.path_in_schema.join('.')} is compressed with ${chunk.codec}`, {
            file: this.path,
            hint: `Write the file again with another compression (read are ${READ_CODECS.join(', ')}), for example in Python: pq.write_table(pq.read_table(file), file, compression="zstd").`,
          });
        }
      }
    }
  }
}

async function readRange(handle: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(0, end - start));
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesRead } = await handle.read(bytes, done, bytes.byteLength - done, start + done);
    if (bytesRead === 0) throw new Error(`the file ends before byte ${end}`);
    done += bytesRead;
  }
  return bytes.buffer;
}

/** A parquet file ends with the length of its footer and `PAR1`; both are checked before anything is allocated. */
async function checkFooter(buffer: AsyncBuffer, path: string): Promise<void> {
  if (buffer.byteLength < 12) throw damaged(path, new Error(`only ${buffer.byteLength} bytes`));
  const tail = new DataView(await buffer.slice(buffer.byteLength - 8));
  if (tail.getUint32(4, true) !== 0x31524150) throw damaged(path, new Error('it does not end with PAR1'));
  const footer = tail.getUint32(0, true);
  if (footer > buffer.byteLength - 8 || footer > MAX_PARQUET_FOOTER_BYTES) {
    throw damaged(path, new Error(`its footer claims ${footer} bytes`));
  }
}

function checkMetadata(metadata: FileMetaData, size: number, path: string, maxRows: number): void {
  const rows = metadata.num_rows;
  let grouped = 0n;
  for (const group of metadata.row_groups) {
    if (group.num_rows < 0n) throw damaged(path, new Error('a row group has a negative size'));
    grouped += group.num_rows;
    for (const { meta_data: chunk } of group.columns) {
      if (chunk === undefined) continue;
      const start = chunk.dictionary_page_offset ?? chunk.data_page_offset;
      if (start < 0n || chunk.total_compressed_size < 0n || start + chunk.total_compressed_size > BigInt(size)) {
        throw damaged(path, new Error(`column ${chunk.path_in_schema.join('.')} lies outside the file`));
      }
    }
  }
  if (rows < 0n || rows !== grouped) throw damaged(path, new Error('its row counts disagree'));
  if (rows > BigInt(maxRows)) {
    throw new DatasetError('DATASET_LIMIT', `${path} claims ${rows.toString()} rows; at most ${maxRows} are read here`, {
      file: path,
    });
  }
}

/** Names of the columns, each with the physical type of the first values below it. */
function topLevelColumns(metadata: FileMetaData): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const skip = (index: number): number => {
    let next = index + 1;
    const children = metadata.schema[index]?.num_children ?? 0;
    for (let child = 0; child < children && next < metadata.schema.length; child++) next = skip(next);
    return next;
  };
  for (let index = 1, next = 1; index < metadata.schema.length; index = next) {
    next = skip(index);
    names.set(metadata.schema[index]!.name, metadata.schema.slice(index, next).find(({ type }) => type !== undefined)?.type ?? '');
  }
  return names;
}

function damaged(path: string, cause: unknown): DatasetError {
  return new DatasetError('DATASET_FILE_DAMAGED', `${path} is no readable parquet file: ${errorMessage(cause)}`, {
    file: path,
    hint: 'Copy or download the file again; it may be cut off.',
    cause,
  });
}

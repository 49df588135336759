import type { KeyValue, SchemaElement } from 'hyparquet';
import { fileWriter, ParquetWriter } from 'hyparquet-writer';

/** A column as LeRobot's tables have them: a scalar, a list, the `3 × 1 × 1` lists of image statistics, or pictures. */
export interface ParquetColumn {
  readonly name: string;
  /** `picture`: `{bytes, path}`, as the `datasets` library stores an `Image`. */
  readonly type: 'float32' | 'float64' | 'int64' | 'string' | 'picture';
  /** How many LISTs are around a value. */
  readonly nesting: 0 | 1 | 3;
}

/** A picture as a row holds it. */
export interface StoredPicture {
  /** A whole PNG or JPEG file. */
  readonly bytes: Uint8Array;
  /** The file's name; null where it never had one. */
  readonly path: string | null;
}

/** One value of a column: numbers for floats, bigints for `int64`, nested arrays for lists. */
export type ParquetValue = number | bigint | string | StoredPicture | readonly ParquetValue[];

/**
 * A parquet file written row group by row group: snappy-compressed, every field optional, lists in the standard
 * three-level form, as pyarrow writes them.
 */
export class ParquetFile {
  readonly #columns: readonly ParquetColumn[];
  readonly #file: ReturnType<typeof fileWriter>;
  readonly #writer: ParquetWriter;

  constructor(path: string, columns: readonly ParquetColumn[], metadata: Readonly<Record<string, string>> = {}) {
    this.#columns = columns;
    this.#file = fileWriter(path);
    const kvMetadata: KeyValue[] = Object.entries(metadata).map(([key, value]) => ({ key, value }));
    this.#writer = new ParquetWriter({ writer: this.#file, schema: schemaOf(columns), kvMetadata, createdBy: 'zk0' });
  }

  /** Bytes written so far. */
  get byteLength(): number {
    return this.#file.offset;
  }

  /** Appends one row group: for each column, in order, one value per row. */
  async append(rows: readonly (readonly ParquetValue[])[]): Promise<void> {
    const columnData = this.#columns.map(({ name, type }, index) => {
      const source = { name, data: [...rows[index]!] };
      // Pictures are compressed already and all different: neither a codec nor a dictionary nor a range says anything.
      return type === 'picture' ? { ...source, codec: 'UNCOMPRESSED' as const, encoding: 'PLAIN' as const, statistics: false } : source;
    });
    await this.#writer.write({ columnData, rowGroupSize: Math.max(1, rows[0]!.length) });
  }

  /** Writes the footer. */
  async close(): Promise<void> {
    await this.#writer.finish();
  }
}

function schemaOf(columns: readonly ParquetColumn[]): SchemaElement[] {
  return [{ name: 'schema', num_children: columns.length }, ...columns.flatMap(columnSchema)];
}

function columnSchema({ name, type, nesting }: ParquetColumn): SchemaElement[] {
  const elements: SchemaElement[] = [];
  for (let level = 0; level < nesting; level++) {
    elements.push(
      {
        name: level === 0 ? name : 'element',
        repetition_type: 'OPTIONAL',
        num_children: 1,
        converted_type: 'LIST',
        logical_type: { type: 'LIST' },
      },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    );
  }
  const leaf = nesting === 0 ? name : 'element';
  if (type === 'picture') {
    elements.push(
      { name: leaf, repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'bytes', repetition_type: 'OPTIONAL', type: 'BYTE_ARRAY' },
      { name: 'path', repetition_type: 'OPTIONAL', ...PHYSICAL_TYPES.string },
    );
  } else elements.push({ name: leaf, repetition_type: 'OPTIONAL', ...PHYSICAL_TYPES[type] });
  return elements;
}

const PHYSICAL_TYPES = {
  float32: { type: 'FLOAT' },
  float64: { type: 'DOUBLE' },
  int64: { type: 'INT64' },
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
} as const satisfies Record<Exclude<ParquetColumn['type'], 'picture'>, Partial<SchemaElement>>;

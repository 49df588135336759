import { open, readFile, rename, rm } from 'node:fs/promises';
import { parquetMetadata, parquetReadObjects, type SchemaElement } from 'hyparquet';
import { ParquetFile, type ParquetColumn, type ParquetValue } from '../../src/write/parquet-file.ts';

/** A row of a table, by column. */
export type Row = Record<string, unknown>;

/** Reads a whole parquet file, lets `change` make other rows of it, and writes those with the same columns. */
export async function rewriteTable(file: string, change: (rows: Row[]) => readonly Row[], columnsOf: (columns: ParquetColumn[]) => ParquetColumn[] = (columns) => columns): Promise<void> {
  const bytes = await readFile(file);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const rows = change(await parquetReadObjects({ file: buffer }));
  const metadata = parquetMetadata(buffer);
  const columns = columnsOf(readColumns(metadata.schema));
  const written = new ParquetFile(`${file}.new`, columns, Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ''])));
  await written.append(columns.map((column) => rows.map((row) => valueOf(row[column.name], column))));
  await written.close();
  await rm(file);
  await rename(`${file}.new`, file);
}

/** Cuts a file to a share of its bytes. */
export async function truncate(file: string, share: number): Promise<void> {
  const handle = await open(file, 'r+');
  const { size } = await handle.stat();
  await handle.truncate(Math.floor(size * share));
  await handle.close();
}

function readColumns(schema: readonly SchemaElement[]): ParquetColumn[] {
  const columns: ParquetColumn[] = [];
  for (let i = 1; i < schema.length; i++) {
    const { name } = schema[i]!;
    let nesting = 0;
    while ((schema[i]!.num_children ?? 0) > 0) {
      if (schema[i]!.converted_type === 'LIST') nesting++;
      i++;
    }
    const type = TYPES[String(schema[i]!.type)];
    if (type === undefined) throw new Error(`column ${name} has the type ${String(schema[i]!.type)}`);
    columns.push({ name, type, nesting: nesting as 0 | 1 | 3 });
  }
  return columns;
}

const TYPES: Readonly<Record<string, ParquetColumn['type']>> = { FLOAT: 'float32', DOUBLE: 'float64', INT64: 'int64', BYTE_ARRAY: 'string' };

function valueOf(value: unknown, column: ParquetColumn): ParquetValue {
  if (typeof value === 'object' && value !== null) return Array.from(value as ArrayLike<unknown>, (one) => valueOf(one, column));
  return column.type === 'int64' && typeof value === 'number' ? BigInt(value) : (value as ParquetValue);
}

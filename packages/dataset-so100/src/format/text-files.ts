import { open } from 'node:fs/promises';
import { errorMessage } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import { MAX_META_BYTES } from '../limits.ts';

/** Reads a UTF-8 file of `meta/`, bounded. */
export async function readText(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    if (size > MAX_META_BYTES) {
      throw new DatasetError('DATASET_LIMIT', `${file} has ${size} bytes; at most ${MAX_META_BYTES} are read`, { file });
    }
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/**
 * Parses JSON as Python writes it: `NaN` and `Infinity`, which JSON does not have, become `null`.
 *
 * @throws DatasetError `DATASET_METADATA` naming the file and, for JSON lines, the row
 */
export function parsePythonJson(text: string, file: string, row?: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    try {
      return JSON.parse(text.replace(/(?<=[[,:]\s*)(?:NaN|-?Infinity)(?=\s*[\],}])/g, 'null'));
    } catch {
      const where = row === undefined ? file : `${file} line ${row + 1}`;
      throw new DatasetError('DATASET_METADATA', `${where} is not valid JSON: ${errorMessage(cause)}`, {
        file,
        ...(row === undefined ? {} : { row }),
        hint: 'Copy or download the dataset again; the file may be cut off.',
        cause,
      });
    }
  }
}

/** Parses a file of one JSON value a line; empty lines are skipped. */
export async function readJsonLines(file: string, maxLines: number): Promise<readonly unknown[]> {
  const lines = (await readText(file)).split('\n');
  const values: unknown[] = [];
  for (const [row, line] of lines.entries()) {
    if (line.trim() === '') continue;
    if (values.length >= maxLines) {
      throw new DatasetError('DATASET_LIMIT', `${file} has more than ${maxLines} lines`, { file, row });
    }
    values.push(parsePythonJson(line, file, row));
  }
  return values;
}

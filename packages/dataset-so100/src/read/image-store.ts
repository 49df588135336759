import { mkdtemp, open, readFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { errorMessage, type RgbImage } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { ImageColumn } from '../format/image-column.ts';
import type { DatasetFolder } from '../format/path-template.ts';
import { TableThread } from '../format/table-thread.ts';
import { MAX_IMAGE_BYTES } from '../limits.ts';
import { decodePicture } from './picture.ts';

/** One picture of a dataset that keeps them in its rows. */
export interface ImagePosition {
  /** The data file. */
  readonly file: string;
  readonly row: number;
  readonly camera: string;
  readonly episodeIndex: number;
  readonly frameIndex: number;
}

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** A picture as a dataset holds it. */
export interface StoredImage {
  readonly bytes: Uint8Array;
  /** What the row calls it, or its own file's name. */
  readonly name: string | null;
  /** The file that it has to itself; null for one in a row. */
  readonly file: string | null;
}

/** The pictures of one column of one data file, spooled. */
interface Spool {
  readonly column: ImageColumn;
  readonly handle: FileHandle;
}

/**
 * Random access to pictures that are kept in rows. The first picture asked for of a data file copies all of that file's
 * (and camera's) into a temporary one, as LeRobot's reader does too; nothing is held in memory.
 */
export class ImageStore {
  readonly #folder: DatasetFolder;
  readonly #spools = new Map<string, Promise<Spool>>();
  #directory: Promise<string> | null = null;
  /** Temporary files made so far. */
  #spooled = 0;

  constructor(folder: DatasetFolder) {
    this.#folder = folder;
  }

  /**
   * A picture, decoded.
   *
   * @param size that it must have, in pixels
   * @throws DatasetError `DATASET_FRAME` naming file and row when the picture is absent or damaged
   */
  async picture(position: ImagePosition, size: ImageSize): Promise<RgbImage> {
    const { bytes, file } = await this.stored(position);
    try {
      return await decodePicture(bytes, size);
    } catch (cause) {
      throw unreadable(position, file, cause);
    }
  }

  /**
   * A picture as it is stored, a whole PNG or JPEG file; not looked at.
   *
   * @throws DatasetError `DATASET_FRAME` naming file and row when there is none
   */
  async stored(position: ImagePosition): Promise<StoredImage> {
    const { row } = position;
    const { column, handle } = await this.#spoolOf(position);
    const name = column.paths[row] ?? null;
    const length = column.length[row] ?? 0;
    try {
      if (length > 0) return { bytes: await readBytes(handle, column.start[row]!, length), name, file: null };
      const file = await this.#findFile(name, position);
      return { bytes: await readFile(file), name: path.basename(file), file };
    } catch (cause) {
      throw unreadable(position, null, cause);
    }
  }

  /**
   * How many bytes `stored` will give; nothing is read.
   *
   * @throws DatasetError as `stored`
   */
  async byteLength(position: ImagePosition): Promise<number> {
    const { column } = await this.#spoolOf(position);
    const length = column.length[position.row] ?? 0;
    if (length > 0) return length;
    try {
      return (await stat(await this.#findFile(column.paths[position.row] ?? null, position))).size;
    } catch (cause) {
      throw unreadable(position, null, cause);
    }
  }

  /** Gives back the room that the pictures of a data file take; they can be asked for again. */
  async release(file: string): Promise<void> {
    for (const [key, spooling] of [...this.#spools]) {
      if (!key.endsWith(`\0${file}`)) continue;
      this.#spools.delete(key);
      for (const { handle } of await settled([spooling])) await handle.close();
    }
  }

  async close(): Promise<void> {
    for (const { handle } of await settled([...this.#spools.values()])) await handle.close();
    this.#spools.clear();
    if (this.#directory !== null) await rm(await this.#directory, { recursive: true, force: true });
    this.#directory = null;
  }

  async #spoolOf({ file, camera }: ImagePosition): Promise<Spool> {
    const key = `${camera}\0${file}`;
    let spooling = this.#spools.get(key);
    if (spooling === undefined) this.#spools.set(key, (spooling = this.#spool(file, camera, this.#spooled++)));
    return await spooling;
  }

  async #spool(file: string, camera: string, number: number): Promise<Spool> {
    this.#directory ??= mkdtemp(path.join(tmpdir(), 'zk0-pictures-'));
    const spool = path.join(await this.#directory, `${number}.spool`);
    const column = await TableThread.use((tables) => tables.images(file, camera, spool));
    const handle = await open(spool, 'r');
    // Without a name it is gone with this process, however that ends. Windows keeps it until `close`.
    await rm(spool).catch(() => undefined);
    return { column, handle };
  }

  /** A picture in a file of its own: the one the row names, or the one where LeRobot's recorder puts it. */
  async #findFile(name: string | null, position: ImagePosition): Promise<string> {
    const { camera, episodeIndex, frameIndex } = position;
    const digits = (value: number): string => String(value).padStart(6, '0');
    const folder = `images/${camera}/episode_${digits(episodeIndex)}`;
    const candidates = [
      // As recorded, an absolute path of the recording machine; only what lies below the dataset's folder is read.
      ...(name === null ? [] : [/(?:^|\/)(images\/.+)$/s.exec(name)?.[1] ?? name, `${folder}/${path.posix.basename(name)}`]),
      `${folder}/frame_${digits(frameIndex)}.png`,
    ];
    let failure: unknown = null;
    for (const candidate of candidates) {
      try {
        const file = await this.#folder.resolve(candidate);
        const { size } = await stat(file);
        if (size > MAX_IMAGE_BYTES) throw new Error(`${file} has ${size} bytes`);
        return file;
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }
}

function unreadable(position: ImagePosition, ownFile: string | null, cause: unknown): DatasetError {
  const { file, row, camera, episodeIndex } = position;
  const named = `${file} row ${row}, column "${camera}"${ownFile === null ? '' : `, ${ownFile}`}`;
  return new DatasetError('DATASET_FRAME', `${named}: no readable picture: ${errorMessage(cause)}`, {
    file,
    row,
    episode: episodeIndex,
    hint: 'Check the dataset with `zk0-client dataset validate`.',
    cause,
  });
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  const { bytesRead } = await handle.read(bytes, 0, length, position);
  if (bytesRead !== length) throw new Error('the temporary file is cut off');
  return bytes;
}

async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

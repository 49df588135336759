import { access, constants, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { describePointer, pointerAt } from '@zk0/storage';
import { DatasetError } from '../errors.ts';

/** What a path template of `info.json` may be filled with. */
export interface TemplateValues {
  readonly episode_chunk?: number;
  readonly episode_index?: number;
  readonly chunk_index?: number;
  readonly file_index?: number;
  readonly video_key?: string;
}

const PLACEHOLDER = /\{([a-z_]+)(?::0?(\d{1,2})d)?\}/g;

/**
 * Fills a Python format string such as `data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet`.
 *
 * Only the names of {@link TemplateValues} and zero-padded integers are understood; the result is a relative path that
 * stays below the dataset's folder.
 *
 * @param infoFile where the template stands, for messages
 * @throws DatasetError `DATASET_METADATA` for an unknown placeholder, `DATASET_PATH` for a path that climbs out.
 */
export function expandTemplate(template: string, values: TemplateValues, infoFile: string): string {
  const expanded = template.replace(PLACEHOLDER, (whole, name: string, width: string | undefined) => {
    const value = (values as Record<string, number | string | undefined>)[name];
    if (value === undefined) {
      throw new DatasetError('DATASET_METADATA', `${infoFile}: path template "${template}" asks for ${whole}, which is not known here`, {
        file: infoFile,
        hint: 'Correct data_path and video_path in meta/info.json.',
      });
    }
    return String(value).padStart(Number(width ?? 0), '0');
  });
  if (/[{}]/.test(expanded)) {
    throw new DatasetError('DATASET_METADATA', `${infoFile}: path template "${template}" is not understood`, {
      file: infoFile,
      hint: 'Correct data_path and video_path in meta/info.json.',
    });
  }
  return assertInside(expanded, infoFile);
}

/** Returns the path when it is relative and stays below its root. @throws DatasetError `DATASET_PATH` naming who `names` it otherwise. */
function assertInside(relative: string, names: string): string {
  const parts = relative.split('/');
  const bad =
    relative === '' ||
    relative.includes('\0') ||
    relative.includes('\\') ||
    path.isAbsolute(relative) ||
    path.win32.isAbsolute(relative) ||
    parts.some((part) => part === '..' || part === '.' || part === '');
  if (bad) {
    throw new DatasetError('DATASET_PATH', `${names} names "${relative}", outside the dataset's folder`, {
      file: names,
      hint: 'Use only datasets from people you trust; this one names files outside itself.',
    });
  }
  return relative;
}

/**
 * Files of one dataset folder: joins relative paths and refuses symbolic links that lead out of it.
 *
 * The Hugging Face cache keeps a snapshot as links into the `blobs` folder beside it, and those as links into one that all
 * repositories share; both are inside.
 */
export class DatasetFolder {
  /** The folder as it was named. */
  readonly root: string;
  readonly #allowed: readonly string[];

  private constructor(root: string, allowed: readonly string[]) {
    this.root = root;
    this.#allowed = allowed;
  }

  /** @param root an existing folder */
  static async open(root: string): Promise<DatasetFolder> {
    const real = await realpath(root);
    const repository = path.join(real, '..', '..');
    const isSnapshot =
      /^[0-9a-f]{40}$/.test(path.basename(real)) &&
      path.basename(path.dirname(real)) === 'snapshots' &&
      path.basename(repository).startsWith('datasets--');
    return new DatasetFolder(root, isSnapshot ? [real, path.join(repository, 'blobs'), path.join(repository, '..', 'blobs')] : [real]);
  }

  /** Where a file of the dataset is. Does not look whether it exists. */
  join(relative: string): string {
    return path.join(this.root, relative);
  }

  /**
   * Where a file of the dataset really is, every link followed.
   *
   * @throws DatasetError `DATASET_FILE_MISSING`; `DATASET_PATH` when a link leads out of the dataset;
   *   `DATASET_FILE_POINTER` when git-lfs or git-annex left a pointer there; `DATASET_FILE_DAMAGED` when something else than
   *   a readable file (or folder, where one is asked for) is there
   */
  async resolve(
    relative: string,
    options: { readonly kind?: 'file' | 'folder'; readonly hint?: string } = {},
  ): Promise<string> {
    const file = this.join(assertInside(relative, this.root));
    const real = await realpath(file).catch((cause: unknown) => {
      throw new DatasetError('DATASET_FILE_MISSING', `${file} is missing`, {
        file,
        hint: options.hint ?? 'Copy or download the dataset again, complete.',
        cause,
      });
    });
    if (!this.#allowed.some((root) => real === root || real.startsWith(root + path.sep))) {
      throw new DatasetError('DATASET_PATH', `${file} is a link to ${real}, outside the dataset`, {
        file,
        hint: 'Replace the link by the file itself.',
      });
    }
    const { kind = 'file' } = options;
    const found = await stat(real);
    if (kind === 'folder' ? !found.isDirectory() : !found.isFile()) {
      throw new DatasetError('DATASET_FILE_DAMAGED', `${file} is no ${kind}`, { file, hint: 'Copy or download the dataset again.' });
    }
    await access(real, constants.R_OK).catch((cause: unknown) => {
      throw new DatasetError('DATASET_FILE_DAMAGED', `${file} may not be read by this user`, {
        file,
        hint: 'Correct its permissions.',
        cause,
      });
    });
    const pointer = kind === 'file' ? await pointerAt(real, found.size) : null;
    if (pointer !== null) {
      const { message, hint } = describePointer(file, pointer);
      throw new DatasetError('DATASET_FILE_POINTER', message, { file, hint });
    }
    return real;
  }
}

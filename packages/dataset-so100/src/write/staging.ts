import { readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { writeDirectoryAtomic } from '@zk0/storage';
import { DatasetWriteError } from './errors.ts';

/** A folder that is filled under a temporary name and appears under its final name whole, or not at all. */
export interface StagedDirectory {
  /** Where to write until {@link commit}. */
  readonly path: string;
  /** Flushes every file to the disk and gives the folder its final name. */
  commit(): Promise<void>;
  /** Removes everything written so far. */
  discard(): Promise<void>;
}

/**
 * Opens a temporary folder beside `target`: `writeDirectoryAtomic` with its callback turned into an object, for callers
 * who write over many calls. What a killed process left behind is removed by the next one.
 *
 * @throws DatasetWriteError `DATASET_EXISTS` when `target` is anything but absent or an empty folder.
 * @throws StorageError when the parent folder cannot be created or written to.
 */
export async function stageDirectory(target: string): Promise<StagedDirectory> {
  const final = resolve(target);
  await refuseExisting(final);
  return new Promise((open, fail) => {
    const discarded = new Error('discarded');
    const written = writeDirectoryAtomic(
      final,
      (path) =>
        new Promise<void>((complete, cancel) => {
          open({
            path,
            async commit() {
              await refuseExisting(final);
              complete();
              await written;
            },
            async discard() {
              cancel(discarded);
              await written.catch((error: unknown) => {
                if (error !== discarded) throw error;
              });
            },
          });
        }),
    );
    written.catch(fail);
  });
}

async function refuseExisting(path: string): Promise<void> {
  const existing = await stat(path).catch(() => undefined);
  if (existing === undefined) return;
  if (existing.isDirectory() && (await readdir(path)).length === 0) return;
  throw new DatasetWriteError('DATASET_EXISTS', `${path} already exists`, {
    hint: 'Choose another path, or remove what is there first; nothing is overwritten.',
  });
}

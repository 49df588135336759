import { TableThread } from '../format/table-thread.ts';
import { stageDirectory } from '../write/staging.ts';
import { EditSource, type EditSourceOptions } from './edit-source.ts';
import type { EditedDataset } from './edit-writer.ts';

/** How datasets are edited. */
export interface EditOptions extends EditSourceOptions {
  /** Called after each episode written. */
  readonly onEpisode?: (progress: { readonly episodes: number; readonly total: number }) => void;
}

/** What an edit wrote. */
export interface EditResult extends EditedDataset {
  /** What was unusual about what was read, and how it was read. */
  readonly warnings: readonly string[];
  /** Features of the originals that the copy has no columns for. */
  readonly leftOut: readonly string[];
}

/** What the four edits have in common. */
export interface EditWork {
  /** Folder to fill; it gets its name when `work` is done. */
  readonly root: string;
  /** Opens a dataset; it is closed at the end. */
  readonly open: (uri: string) => Promise<EditSource>;
  /** Starts a count of `total` episodes; what it returns is called after each one that is written. */
  readonly counter: (total: number) => () => void;
}

/**
 * Runs an edit: the new folder appears whole or not at all, and originals are only read.
 *
 * @param to must not exist
 * @throws DatasetWriteError `DATASET_EXISTS`
 */
export async function edit<T>(to: string, options: EditOptions, work: (parts: EditWork) => Promise<T>): Promise<T & Pick<EditResult, 'warnings' | 'leftOut'>> {
  return await TableThread.use(async (tables) => {
    const staging = await stageDirectory(to);
    const sources: EditSource[] = [];
    try {
      const result = await work({
        root: staging.path,
        open: async (uri) => {
          const source = await EditSource.open(uri, tables, options);
          sources.push(source);
          return source;
        },
        counter: (total) => {
          let episodes = 0;
          return () => options.onEpisode?.({ episodes: ++episodes, total });
        },
      });
      await staging.commit();
      const many = sources.length > 1;
      return {
        ...result,
        warnings: sources.flatMap(({ uri, warnings }) => warnings.map((warning) => (many ? `${uri}: ${warning}` : warning))),
        leftOut: [...new Set(sources.flatMap(({ features }) => features.leftOut))],
      };
    } catch (error) {
      await staging.discard();
      throw error;
    } finally {
      for (const source of sources) await source.close();
    }
  });
}

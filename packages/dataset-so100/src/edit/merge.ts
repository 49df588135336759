import { DatasetError } from '../errors.ts';
import type { UnitConvention } from '../units/infer-units.ts';
import { assertAgree, meaningOf, type MeaningfulSource } from './agree.ts';
import { edit, type EditOptions, type EditResult } from './edit.ts';
import { writeEdited } from './edit-writer.ts';

export interface MergeOptions extends EditOptions {
  /** What the joints' values mean in all of them, where it cannot be inferred. */
  readonly units?: UnitConvention;
  /** What the robot is called, where they call it otherwise. */
  readonly robotType?: string;
}

/**
 * Puts datasets behind each other into one new dataset of format v3.0: episodes and frames renumbered, each task once, statistics of
 * the whole merged from those of the episodes. All have to agree in frame rate, robot, joints, units and cameras.
 *
 * @param uris at least two addresses, see `openDataset`
 * @param to folder of the new one; must not exist
 * @throws DatasetError `DATASET_UNLIKE` where two differ, naming what in; whatever is wrong with one of them
 * @throws DatasetWriteError `DATASET_EXISTS`, `DATASET_NOT_CONVERTIBLE`
 * @throws CancelledError when `signal` aborts; nothing is left behind
 */
export async function mergeDatasets(uris: readonly string[], to: string, options: MergeOptions = {}): Promise<EditResult> {
  if (uris.length < 2) throw new DatasetError('DATASET_UNLIKE', `${uris.length} datasets are nothing to merge`, { hint: 'Name two or more.' });
  const twins: string[] = [];
  const merged = await edit(to, options, async ({ root, open, counter }) => {
    const found: MeaningfulSource[] = [];
    for (const uri of uris) {
      const source = await open(uri);
      const other = { source, meaning: await meaningOf(source, options.units) };
      if (found[0] !== undefined) assertAgree(found[0], other, options.robotType);
      found.push(other);
    }
    const seen = new Map<string, string>();
    const { wholeVideos, robotType, signal } = options;
    return await writeEdited(root, to, found.map(({ source }) => ({ source, episodes: source.episodes })), {
      ...(wholeVideos === undefined ? {} : { wholeVideos }),
      ...(robotType === undefined ? {} : { robotType }),
      ...(signal === undefined ? {} : { signal }),
      onEpisode: counter(found.reduce((sum, { source }) => sum + source.episodes.length, 0)),
      onRead: ({ contentHash, record }, { uri }) => {
        const name = `episode ${record.episodeIndex} of ${uri}`;
        const twin = seen.get(contentHash);
        if (twin === undefined) seen.set(contentHash, name);
        else twins.push(`${name} holds the same states and actions as ${twin}; both are in the new dataset.`);
      },
    });
  });
  return { ...merged, warnings: [...merged.warnings, ...twins] };
}

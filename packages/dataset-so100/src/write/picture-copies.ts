import type { DatasetFolder } from '../format/path-template.ts';
import { ImageStore, type ImagePosition } from '../read/image-store.ts';
import type { EpisodePictures } from './dataset-tables.ts';

/** Pictures of a dataset on their way, unchanged, into the rows of another, data file by data file. */
export class PictureCopies {
  readonly store: ImageStore;
  /** The data file whose pictures are at hand; those of one before it are given back, so room for one is enough. */
  #file: string | null = null;

  constructor(folder: DatasetFolder) {
    this.store = new ImageStore(folder);
  }

  /**
   * A camera's pictures of one episode, wherever they are kept. Only the name is left of a path, as LeRobot does: the
   * rest is the recording machine's.
   *
   * @param positions where each is, all in one data file
   * @throws DatasetError `DATASET_FRAME` naming file and row of one that is not there
   */
  async of(positions: readonly ImagePosition[]): Promise<Omit<EpisodePictures, 'statistics'>> {
    await this.begin(positions[0]!.file);
    const byteLengths = new Float64Array(positions.length);
    for (const [frame, position] of positions.entries()) byteLengths[frame] = await this.store.byteLength(position);
    return {
      byteLengths,
      read: async (frame) => {
        const { bytes, name } = await this.store.stored(positions[frame]!);
        return { bytes, path: name === null ? null : (name.split(/[/\\]/).at(-1) ?? null) };
      },
    };
  }

  /** Turns to a data file. */
  async begin(file: string): Promise<void> {
    if (this.#file !== null && this.#file !== file) await this.store.release(this.#file);
    this.#file = file;
  }

  async close(): Promise<void> {
    await this.store.close();
  }
}

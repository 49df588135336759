import { CancelledError } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import { withoutDoubledEpisodes, type EpisodeRecord } from '../format/episodes.ts';
import { TableThread } from '../format/table-thread.ts';
import type { TableReader } from '../format/table-reader.ts';
import { chooseSound } from '../read/choose-sound.ts';
import { chooseEpisodes, readListedRecording } from '../read/recording.ts';
import { EpisodeTables } from '../read/episode-tables.ts';
import { locateDataset, type DatasetSource, type SourceOptions } from '../read/source.ts';
import { createVideoDecoder, type VideoOptions } from '../video/choose-decoder.ts';
import type { VideoDecoder } from '../video/decoder.ts';
import type { WrittenDataset } from '../write/dataset-writer.ts';
import { DatasetTables, type EpisodeVideo } from '../write/dataset-tables.ts';
import { DatasetWriteError } from '../write/errors.ts';
import { sourceFeatures } from '../write/source-features.ts';
import { stageDirectory } from '../write/staging.ts';
import { PictureCopies } from '../write/picture-copies.ts';
import { VideoCopies } from '../write/video-copies.ts';
import { wholeSetChanges } from './changes.ts';
import { reassignVideos } from './reassign-videos.ts';
import { EpisodeReader, type ReadEpisode } from './read-episode.ts';
import { VideoSources } from './video-sources.ts';

/**
 * Why an episode may be left out of a repaired copy.
 *
 * - `unreadable`: rows or videos are missing, damaged or hold values that are not finite;
 * - `black`, `frozen`: a camera saw nothing, or always the same;
 * - `duplicate`: it holds the same states and actions as an earlier one.
 */
export type DropReason = 'unreadable' | 'black' | 'frozen' | 'duplicate';
export const DROP_REASONS: readonly DropReason[] = ['unreadable', 'black', 'frozen', 'duplicate'];

export interface RepairOptions extends SourceOptions {
  /** Episodes to leave out; default none: one that is `unreadable` is an error then. */
  readonly drop?: readonly DropReason[];
  /** Task text of episodes that have none. */
  readonly task?: string;
  readonly video?: VideoOptions;
  /** Called after each episode. */
  readonly onEpisode?: (progress: { readonly episodes: number; readonly total: number }) => void;
}

/** One thing that a repaired copy has other than the original. */
export interface RepairChange {
  readonly message: string;
  /** The episode's number in the original; absent where all are meant. */
  readonly episode?: number;
}

export interface RepairResult extends WrittenDataset {
  readonly changes: readonly RepairChange[];
  /** Original numbers of the episodes that are not in the copy, and why. */
  readonly dropped: readonly { readonly episode: number; readonly reason: DropReason; readonly message: string }[];
  /** Features of the original that the copy has no columns for. */
  readonly leftOut: readonly string[];
}

/**
 * Writes a copy of a dataset, in format v3.0, in which what can be repaired is: doubled rows are left out, rows and
 * episodes put in order, lengths and totals counted anew, timestamps put on the frame rate's grid, missing columns added,
 * statistics computed anew. Videos and pictures are copied byte for byte. The original is only read; the copy appears whole or not at
 * all.
 *
 * @param uri address of the dataset, see `openDataset`
 * @param to folder of the copy; must not exist
 * @throws DatasetError where the metadata cannot be read
 * @throws DatasetWriteError `DATASET_NOT_REPAIRABLE`, `DATASET_NOT_CONVERTIBLE`, `DATASET_EXISTS`
 * @throws CancelledError when `signal` aborts; nothing is left behind
 */
export async function repairDataset(uri: string, to: string, options: RepairOptions = {}): Promise<RepairResult> {
  const source = await locateDataset(uri, options);
  return await TableThread.use(async (tables) => {
    const staging = await stageDirectory(to);
    try {
      const repair = await Repair.begin(source, staging.path, tables, options);
      const result = await repair.perform();
      await staging.commit();
      return { path: to, ...result };
    } catch (error) {
      await staging.discard();
      throw error;
    }
  });
}

/** One repair under way. */
class Repair {
  readonly #reader: EpisodeReader;
  readonly #episodes: readonly EpisodeRecord[];
  readonly #codecs: readonly string[];
  readonly #pictures: PictureCopies;
  readonly #target: string;
  readonly #options: RepairOptions;
  readonly #changes: RepairChange[] = [];
  readonly #dropped: RepairResult['dropped'][number][] = [];
  /** Content hash → original number of the first episode with it. */
  readonly #seen = new Map<string, number>();

  private constructor(
    parts: {
      reader: EpisodeReader;
      episodes: readonly EpisodeRecord[];
      codecs: readonly string[];
      pictures: PictureCopies;
      target: string;
    },
    options: RepairOptions,
  ) {
    this.#reader = parts.reader;
    this.#episodes = parts.episodes;
    this.#codecs = parts.codecs;
    this.#pictures = parts.pictures;
    this.#target = parts.target;
    this.#options = options;
  }

  static async begin(source: DatasetSource, target: string, tables: TableReader, options: RepairOptions): Promise<Repair> {
    const listed = await readListedRecording(source.root, tables);
    const claimed = { ...listed, episodes: withoutDoubledEpisodes(listed.episodes) };
    const chosen = await chooseSound(claimed, source, tables);
    await source.fetch(chosen, claimed.info);
    const surveyed = new VideoSources(claimed, chosen);
    const { fps, codecs } = await surveyed.survey();
    const { recording, changes } = await reassignVideos(claimed, fps);
    const episodes = chooseEpisodes(recording, chosen.map(({ episodeIndex }) => episodeIndex));
    const sources = changes.length === 0 ? surveyed : new VideoSources(recording, episodes);
    const pictures = new PictureCopies(recording.folder);
    const reader = new EpisodeReader({ recording, tables: new EpisodeTables(recording, tables, source.fetchData), sources, copies: pictures, fps });
    const repair = new Repair({ reader, episodes, codecs, pictures, target }, options);
    repair.#changes.push(...wholeSetChanges(listed, recording.episodes, fps), ...changes.map((message) => ({ message })));
    return repair;
  }

  async perform(): Promise<Omit<RepairResult, 'path'>> {
    const { recording, fps } = this.#reader;
    const { info, folder } = recording;
    const { leftOut, pixelFormats } = await sourceFeatures(folder.root);
    const copies = new VideoCopies(this.#target, pixelFormats);
    const episodes = this.#episodes;
    let tables: DatasetTables | null = null;
    const decoder = info.cameras.every(({ kind }) => kind === 'image') ? null : await createVideoDecoder(this.#options.video, this.#codecs);
    try {
      for (const [number, episode] of episodes.entries()) {
        if (this.#options.signal?.aborted === true) throw new CancelledError('Repairing the dataset');
        const read = await this.#read(episode, decoder);
        if (read !== null) {
          tables ??= new DatasetTables(this.#target, {
            fps,
            robotType: info.robotType,
            stateNames: info.state.names,
            actionNames: info.action.names,
            cameras: read.cameras.filter(({ key }) => !read.pictures.has(key)),
            pictures: read.cameras.filter(({ key }) => read.pictures.has(key)),
          });
          const videos = new Map<string, EpisodeVideo>();
          for (const { key, source, fromTimestamp, statistics } of read.videos) {
            const position = await copies.add(key, source);
            videos.set(key, { position, fromTimestamp, toTimestamp: fromTimestamp + read.rows.timestamps.at(-1)! + 1 / fps, statistics });
          }
          await tables.append(read.rows, videos, read.pictures);
          for (const message of read.changes) this.#changes.push({ message, episode: episode.episodeIndex });
        }
        this.#options.onEpisode?.({ episodes: number + 1, total: episodes.length });
      }
    } finally {
      await decoder?.close();
      await this.#pictures.close();
    }
    if (tables === null) {
      throw new DatasetWriteError('DATASET_NOT_REPAIRABLE', `No episode of ${folder.root} is left to copy`, {
        hint: 'Leave fewer out with --drop.',
      });
    }
    await tables.finish(copies.codings);
    const { episodeCount, frameCount, tasks } = tables;
    return { episodes: episodeCount, frames: frameCount, tasks, changes: this.#changes, dropped: this.#dropped, leftOut };
  }

  /** One episode; null where it is left out. */
  async #read(episode: EpisodeRecord, decoder: VideoDecoder | null): Promise<ReadEpisode | null> {
    const { drop = [], task } = this.#options;
    const { episodeIndex } = episode;
    let read: ReadEpisode;
    try {
      read = await this.#reader.read(episode, decoder, task);
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      if (drop.includes('unreadable')) return this.#drop(episodeIndex, 'unreadable', error.message);
      throw new DatasetWriteError('DATASET_NOT_REPAIRABLE', `Episode ${episodeIndex} cannot be repaired: ${error.message}`, {
        hint: 'Leave such episodes out of the copy with --drop unreadable.',
        cause: error,
      });
    }
    const [black, frozen] = [read.blackCameras[0], read.frozenCameras[0]];
    if (black !== undefined && drop.includes('black')) return this.#drop(episodeIndex, 'black', `${black} is black`);
    if (frozen !== undefined && drop.includes('frozen')) return this.#drop(episodeIndex, 'frozen', `${frozen} is frozen`);
    const twin = this.#seen.get(read.contentHash);
    if (twin !== undefined && drop.includes('duplicate')) {
      return this.#drop(episodeIndex, 'duplicate', `it holds the same states and actions as episode ${twin}`);
    }
    this.#seen.set(read.contentHash, twin ?? episodeIndex);
    return read;
  }

  #drop(episode: number, reason: DropReason, message: string): null {
    this.#dropped.push({ episode, reason, message });
    return null;
  }
}

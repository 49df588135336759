import { constants } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import type { EpisodeRecord } from '../format/episodes.ts';
import { clockOf } from '../read/episode-pairing.ts';
import type { Recording } from '../read/recording.ts';
import { claimsOf } from '../read/video-claims.ts';
import type { VideoFile } from '../read/videos.ts';
import type { FilePosition } from '../write/layout.ts';
import type { VideoCopies } from '../write/video-copies.ts';
import { cutVideo, uncut } from './cut-video.ts';

/** A part of a video file that goes into one file of the copy. */
interface Stretch {
  /** Frames, in the order in which they are shown; null for the whole file. */
  readonly frames: { readonly first: number; readonly end: number } | null;
  placed: Promise<PlacedStretch> | null;
}

/** Where a part of a video file is in the copy. */
export interface PlacedStretch {
  readonly position: FilePosition;
  /** Seconds by which its frames are shown earlier than in the source. */
  readonly shift: number;
}

/**
 * The videos of the chosen episodes of one dataset on their way into a copy. A file all of whose episodes are chosen is copied byte for
 * byte; of others each run of chosen episodes is cut out and becomes a file of its own.
 */
export class VideoStretches {
  readonly #recording: Recording;
  readonly #files: ReadonlyMap<string, VideoFile>;
  readonly #copies: VideoCopies;
  /** By file, then by episode. */
  readonly #stretches = new Map<string, ReadonlyMap<number, Stretch>>();

  /**
   * @param chosen recorded numbers
   * @param whole copies every file whole, whatever else is in it
   */
  constructor(parts: {
    readonly recording: Recording;
    readonly files: ReadonlyMap<string, VideoFile>;
    readonly copies: VideoCopies;
    readonly chosen: ReadonlySet<number>;
    readonly whole: boolean;
  }) {
    this.#recording = parts.recording;
    this.#files = parts.files;
    this.#copies = parts.copies;
    for (const file of parts.files.keys()) this.#stretches.set(file, this.#plan(file, parts.chosen, parts.whole));
  }

  /** How many frames of each stretch are copied that belong to none of its episodes is not known before; see {@link cutVideo}. */
  async place({ episodeIndex, videos }: EpisodeRecord, camera: string): Promise<PlacedStretch> {
    const { file } = videos.get(camera)!;
    const stretch = this.#stretches.get(file)!.get(episodeIndex)!;
    stretch.placed ??= this.#copy(camera, file, stretch);
    return await stretch.placed;
  }

  #plan(file: string, chosen: ReadonlySet<number>, whole: boolean): ReadonlyMap<number, Stretch> {
    const claims = claimsOf(this.#recording).get(file) ?? [];
    const stretches = new Map<number, Stretch>();
    if (whole || claims.every(({ episode }) => chosen.has(episode))) {
      const all: Stretch = { frames: null, placed: null };
      for (const { episode } of claims) stretches.set(episode, all);
      return stretches;
    }
    const { path, summary } = this.#files.get(file)!;
    if (summary.clock === null) throw uncut(path, 'its tables do not say when its frames are shown');
    const clock = clockOf(summary, this.#recording.info.fps);
    for (let i = 0; i < claims.length; ) {
      let next = i + 1;
      if (chosen.has(claims[i]!.episode)) {
        while (next < claims.length && chosen.has(claims[next]!.episode)) next++;
        const end = next === claims.length ? clock.count : clock.nearest(claims[next]!.from);
        const run: Stretch = { frames: { first: clock.nearest(claims[i]!.from), end }, placed: null };
        for (const { episode } of claims.slice(i, next)) stretches.set(episode, run);
      }
      i = next;
    }
    return stretches;
  }

  async #copy(camera: string, file: string, { frames }: Stretch): Promise<PlacedStretch> {
    const { path, summary } = this.#files.get(file)!;
    let shift = 0;
    const position = await this.#copies.place(camera, path, async (target) => {
      if (frames === null) {
        await copyFile(path, target, constants.COPYFILE_FICLONE);
        return;
      }
      const { first, end } = frames;
      const { lead } = await cutVideo(path, target, summary.frameCount, first, end);
      shift = clockOf(summary, this.#recording.info.fps).timeOf(first - lead);
    });
    return { position, shift };
  }
}

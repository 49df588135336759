import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { Recording } from '../read/recording.ts';
import { checkVideo, type VideoFile } from '../read/videos.ts';
import type { Mp4Summary } from '../video/mp4.ts';

/** A camera's frames of one episode in a file that is there. */
export interface VideoSource {
  /** Inside the dataset. */
  readonly file: string;
  readonly path: string;
  /** Seconds into the file at which the episode begins. */
  readonly from: number;
  /** Frames from there to the next episode, or to the end of the file. */
  readonly frames: number;
  /** What the file's tables say. */
  readonly summary: Mp4Summary;
}

/** The video files of a dataset, each looked at once. */
export class VideoSources {
  readonly #recording: Recording;
  readonly #files = new Map<string, Promise<VideoFile>>();
  /** By file: where its episodes begin, ascending. */
  readonly #starts = new Map<string, number[]>();

  /** @param episodes those whose videos are wanted */
  constructor(recording: Recording, episodes: readonly EpisodeRecord[]) {
    this.#recording = recording;
    const wanted = new Set(episodes.flatMap(({ videos }) => [...videos.values()].map(({ file }) => file)));
    for (const { videos } of recording.episodes) {
      for (const { file, fromTimestamp } of videos.values()) {
        if (!wanted.has(file)) continue;
        this.#starts.set(file, [...(this.#starts.get(file) ?? []), fromTimestamp].sort((a, b) => a - b));
      }
    }
  }

  /**
   * Looks at all files: their codecs, and the frame rate that all agree on where `info.json` says another. Files that
   * cannot be read have no say.
   */
  async survey(): Promise<{ readonly fps: number; readonly codecs: readonly string[] }> {
    const codecs = new Set<string>();
    const rates = new Set<number>();
    for (const file of this.#starts.keys()) {
      const summary = await this.#file(file).then((found) => found.summary, ignoreDamage);
      if (summary === null) continue;
      codecs.add(summary.codec);
      if (summary.fps !== null) rates.add(wholeRate(summary.fps));
    }
    const [rate] = rates;
    const isAgreed = rates.size === 1 && rate !== undefined && Number.isInteger(rate);
    return { fps: isAgreed ? rate : this.#recording.info.fps, codecs: [...codecs] };
  }

  /** @throws DatasetError naming the file, where it is missing, damaged, or of an unknown codec */
  async of({ videos }: EpisodeRecord, camera: string, fps: number): Promise<VideoSource> {
    const span = videos.get(camera)!;
    const { path, summary } = await this.#file(span.file);
    const next = this.#starts.get(span.file)!.find((start) => start > span.fromTimestamp);
    const end = summary.frameCount === 0 ? Infinity : summary.frameCount;
    const frames = Math.min(end, next === undefined ? Infinity : Math.round(next * fps)) - Math.round(span.fromTimestamp * fps);
    return { file: span.file, path, from: span.fromTimestamp, frames: Math.max(0, frames), summary };
  }

  #file(file: string): Promise<VideoFile> {
    let found = this.#files.get(file);
    if (found === undefined) {
      found = checkVideo(this.#recording, file, { camera: '', frames: 0, episode: 0 });
      found.catch(() => undefined);
      this.#files.set(file, found);
    }
    return found;
  }
}

/** A whole number where the rate is one but for rounding; NaN otherwise. */
function wholeRate(rate: number): number {
  const whole = Math.round(rate);
  return whole >= 1 && Math.abs(rate / whole - 1) <= 1e-3 ? whole : NaN;
}

function ignoreDamage(error: unknown): null {
  if (error instanceof DatasetError) return null;
  throw error;
}

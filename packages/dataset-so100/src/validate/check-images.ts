import type { RgbImage } from '@zk0/core';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { Sharpness } from '../motion/sharpness.ts';
import { ImageStore } from '../read/image-store.ts';
import type { Recording } from '../read/recording.ts';
import type { VideoFile } from '../read/videos.ts';
import type { VideoDecoder } from '../video/decoder.ts';
import type { FrameTimes } from './check-pairing.ts';
import type { EpisodeFacts } from './check-rows.ts';
import type { Findings } from './findings.ts';
import type { ValidateOptions } from './validate.ts';
import { ImageSequence, sampledPositions } from './image-sequence.ts';

/** What is decoded. */
export interface CheckedEpisodes {
  readonly episodes: readonly EpisodeRecord[];
  /** Those that are sound, by path inside the dataset. */
  readonly videos: ReadonlyMap<string, VideoFile>;
  /** When frames are shown, by episode number; of others, whose rows cannot be read, they are taken by position. */
  readonly times: ReadonlyMap<number, FrameTimes>;
  readonly fps: number;
  /** Whether an episode's action at a frame differs from the one before. */
  readonly isMoving: (episode: number, position: number) => boolean;
}

/**
 * Decodes frames of every episode and camera; reports what cannot be decoded, black cameras and frozen ones.
 *
 * @param samples frames of each episode to decode, evenly spread from the first to the last
 * @returns how many images were decoded
 */
export async function checkImages(
  { episodes, videos, times, fps, isMoving }: CheckedEpisodes,
  decoder: VideoDecoder,
  samples: number,
  findings: Findings,
  { signal, onCheck }: Pick<ValidateOptions, 'signal' | 'onCheck'> = {},
  sharpness: Sharpness | null = null,
): Promise<number> {
  let decoded = 0;
  for (const [number, { episodeIndex, length, videos: spans }] of episodes.entries()) {
    onCheck?.({ phase: 'images', done: number, total: episodes.length });
    const timeOf = times.get(episodeIndex);
    // Cameras side by side, each in the order of its frames: a decoder thread stays with one file.
    const looks = await Promise.all(
      [...spans].map(async ([camera, { file, fromTimestamp }]) => {
        const video = videos.get(file);
        if (video === undefined) return null;
        const frame = (position: number, into?: ArrayBuffer): Promise<RgbImage> =>
          decoder.frame({
            file: video.path,
            timestamp: timeOf?.(camera, position) ?? fromTimestamp + position / fps,
            tolerance: 0.5 / fps,
            ...(into === undefined ? {} : { into }),
          });
        const where = { file: video.path, camera, episode: episodeIndex };
        sharpness?.expect(where);
        return await lookAt(frame, sampledPositions(length, samples), where, (position) => isMoving(episodeIndex, position), { signal, sharpness });
      }),
    );
    for (const look of looks) {
      decoded += look?.decoded ?? 0;
      look?.report(findings);
    }
  }
  return decoded;
}

/** The same for cameras whose pictures are kept in the rows. */
export async function checkPictures(
  recording: Recording,
  facts: readonly EpisodeFacts[],
  isMoving: CheckedEpisodes['isMoving'],
  samples: number,
  findings: Findings,
  { signal, onCheck }: Pick<ValidateOptions, 'signal' | 'onCheck'> = {},
  sharpness: Sharpness | null = null,
): Promise<number> {
  const cameras = recording.info.cameras.filter(({ kind }) => kind === 'image');
  if (cameras.length === 0) return 0;
  const pictures = new ImageStore(recording.folder);
  let decoded = 0;
  try {
    for (const [number, { episode, file, rows }] of facts.entries()) {
      onCheck?.({ phase: 'images', done: number, total: facts.length });
      const { episodeIndex, length } = episode;
      for (const { key: camera, width, height } of cameras) {
        const frame = (position: number): Promise<RgbImage> =>
          pictures.picture({ file, row: rows[position]!, camera, episodeIndex, frameIndex: position }, { width, height });
        const where = { file, camera, episode: episodeIndex };
        const look = await lookAt(frame, sampledPositions(length, samples), where, (position) => isMoving(episodeIndex, position), { signal, sharpness });
        decoded += look.decoded;
        look.report(findings);
      }
    }
  } finally {
    await pictures.close();
  }
  return decoded;
}

/** What was seen of a camera in an episode. */
interface Look {
  /** How many images could be decoded. */
  readonly decoded: number;
  /** Adds what they show, and what could not be decoded. */
  report(findings: Findings): void;
}

/** Decodes some images of a camera, one after the other; `frame` may put one into memory that is not used any more. */
async function lookAt(
  frame: (position: number, into?: ArrayBuffer) => Promise<RgbImage>,
  positions: readonly number[],
  where: { readonly file: string; readonly camera: string; readonly episode: number },
  isMoving: (position: number) => boolean,
  { signal, sharpness }: { readonly signal: AbortSignal | undefined; readonly sharpness: Sharpness | null },
): Promise<Look> {
  const seen = new ImageSequence(isMoving);
  const errors: unknown[] = [];
  let decoded = 0;
  let spare: ArrayBuffer | undefined;
  for (const position of positions) {
    signal?.throwIfAborted();
    try {
      const into = spare;
      // It is the decoder's from now on.
      spare = undefined;
      const image = await frame(position, into);
      spare = seen.add(image, position);
      sharpness?.add(where, image);
      decoded++;
    } catch (error) {
      errors.push(error);
    }
  }
  return {
    decoded,
    report(findings) {
      for (const error of errors) findings.addError(error);
      reportSeen(seen, where, findings);
    },
  };
}

function reportSeen(seen: ImageSequence, where: { readonly file: string; readonly camera: string; readonly episode: number }, findings: Findings): void {
  const { camera, episode } = where;
  if (seen.isBlack) findings.add('warning', 'BLACK_CAMERA', `Episode ${episode}: ${camera} is black.`, where);
  else if (seen.isWhite || seen.isFlat) findings.add('warning', 'BLANK_CAMERA', `Episode ${episode}: ${camera} shows ${seen.isWhite ? 'white' : 'one colour'}.`, where);
  else if (seen.isFrozen) findings.add('warning', 'FROZEN_CAMERA', `Episode ${episode}: ${camera} always shows the same image.`, where);
  else {
    for (const { from, to } of seen.blackRuns) findings.add('warning', 'BLACK_CAMERA', `Episode ${episode}: ${camera} is black from frame ${from} to ${to}.`, { ...where, frame: from });
    for (const { from, to } of seen.frozenRuns) {
      findings.add('warning', 'FROZEN_CAMERA', `Episode ${episode}: ${camera} shows the same image from frame ${from} to ${to}, while the arm is told to move.`, { ...where, frame: from });
    }
  }
}

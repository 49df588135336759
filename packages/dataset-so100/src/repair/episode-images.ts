import type { CameraInfo, RgbImage } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { CameraFeature } from '../format/info.ts';
import type { ImagePosition, ImageStore } from '../read/image-store.ts';
import { pictureSize } from '../read/picture.ts';
import { DEFAULT_SAMPLES, ImageSequence, sampledPositions } from '../validate/image-sequence.ts';
import type { VideoDecoder } from '../video/decoder.ts';
import type { VideoSource } from './video-sources.ts';

/** The images of one camera in one episode. */
export interface EpisodeImages {
  /** With the size that they really have. */
  readonly camera: CameraInfo;
  /** The video file, or the data file. */
  readonly file: string;
  /** How many there are, from the first on. */
  readonly frames: number;
  /** @throws DatasetError where an image cannot be decoded */
  at(frame: number): Promise<RgbImage>;
}

/**
 * Those of a camera recorded as video.
 *
 * @param timeOf seconds into the video at which the frame of a row is shown
 */
export function videoImages(
  key: string,
  source: VideoSource,
  decoder: VideoDecoder,
  fps: number,
  timeOf: (position: number) => number,
): EpisodeImages {
  const { path: file, frames } = source;
  const { height, width } = source.summary;
  return {
    camera: { key, height, width },
    file,
    frames,
    at: async (frame) => {
      const image = await decoder.frame({ file, timestamp: timeOf(frame), tolerance: 0.5 / fps });
      if (image.height === height && image.width === width) return image;
      throw new DatasetError('DATASET_VIDEO', `${file} holds images of ${image.height}×${image.width} pixels and claims ${height}×${width}`, {
        file,
      });
    },
  };
}

/**
 * Those of a camera whose pictures are kept in rows. All are decoded: what cannot be at the end of the episode is not
 * counted.
 *
 * @param positions where each is
 * @param known the size that those of other episodes have; null for the first episode
 * @throws DatasetError of the first that cannot be decoded, where a later one can, or none
 */
export async function pictureImages(
  store: ImageStore,
  positions: readonly ImagePosition[],
  { key, ...claimed }: CameraFeature,
  known: CameraInfo | null,
): Promise<EpisodeImages> {
  const { height, width } = known ?? (await firstSize(store, positions[0]!)) ?? claimed;
  const camera = { key, height, width };
  const at = (frame: number): Promise<RgbImage> => store.picture(positions[frame]!, camera);
  let frames = 0;
  let failure: DatasetError | null = null;
  for (const frame of positions.keys()) {
    const error = await at(frame).then(() => null, damageOf);
    if (error !== null) failure ??= error;
    else if (failure === null) frames++;
    else throw failure;
  }
  if (frames === 0 && failure !== null) throw failure;
  return { camera, file: positions[0]!.file, frames, at };
}

/** Looks at some of an episode's first `length` images. */
export async function lookAt(images: EpisodeImages, length: number): Promise<ImageSequence> {
  const seen = new ImageSequence(() => false);
  for (const position of sampledPositions(length, DEFAULT_SAMPLES)) seen.add(await images.at(position), position);
  return seen;
}

/** What the first picture says of its size; null where it cannot be read. */
async function firstSize(store: ImageStore, position: ImagePosition): Promise<{ height: number; width: number } | null> {
  const stored = await store.stored(position).catch(damageOf);
  if (stored instanceof DatasetError) return null;
  return await pictureSize(stored.bytes).catch(() => null);
}

function damageOf(error: unknown): DatasetError {
  if (error instanceof DatasetError) return error;
  throw error;
}

import type * as constants from 'node-av/constants';
import type * as lib from 'node-av/lib';
import { DatasetWriteError } from './errors.ts';

/** FFmpeg's libraries in this process. */
export interface Ffmpeg {
  readonly lib: typeof lib;
  readonly constants: typeof constants;
}

let loading: Promise<Ffmpeg> | undefined;

/**
 * Loads node-av, an optional dependency (its binary is 175 MB), once, when the first video is written.
 *
 * @throws DatasetWriteError `DATASET_NO_ENCODER` when it is not installed for this platform.
 */
export async function loadFfmpeg(): Promise<Ffmpeg> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Ffmpeg> {
  try {
    const ffmpeg: Ffmpeg = { lib: await import('node-av/lib'), constants: await import('node-av/constants') };
    // x264 would print its settings and a summary for every file.
    ffmpeg.lib.Log.setLevel(ffmpeg.constants.AV_LOG_ERROR);
    return ffmpeg;
  } catch (error) {
    throw new DatasetWriteError('DATASET_NO_ENCODER', 'No video encoder: node-av is not installed for this platform', {
      cause: error,
      hint: 'Install the optional dependency node-av (npm install node-av@6.1.1).',
    });
  }
}

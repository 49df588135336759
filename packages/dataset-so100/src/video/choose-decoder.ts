import { DatasetError } from '../errors.ts';
import type { VideoBackend, VideoDecoder } from './decoder.ts';
import { FfmpegDecoder, findFfmpeg } from './ffmpeg-decoder.ts';
import { isNodeAvInstalled, NodeAvDecoder, type NodeAvDecoderOptions } from './node-av-decoder.ts';

/** How to decode video. */
export interface VideoOptions extends NodeAvDecoderOptions {
  /** `auto` (default): node-av where it is installed, else `ffmpeg` on the PATH. */
  readonly backend?: VideoBackend | 'auto';
}

/** Which ways to decode video this machine has, the one that `auto` takes first. For diagnosis. */
export async function availableVideoBackends(): Promise<readonly { backend: VideoBackend; where: string }[]> {
  const found: { backend: VideoBackend; where: string }[] = [];
  if (isNodeAvInstalled()) found.push({ backend: 'node-av', where: 'FFmpeg inside this process (node-av, GPL-3.0 binary)' });
  const command = await findFfmpeg();
  if (command !== null) found.push({ backend: 'ffmpeg', where: command });
  return found;
}

/** Makes the decoder asked for. @throws DatasetError `DATASET_NO_DECODER` */
export async function createVideoDecoder(options: VideoOptions = {}): Promise<VideoDecoder> {
  const wanted = options.backend ?? 'auto';
  if (wanted !== 'ffmpeg' && isNodeAvInstalled()) return new NodeAvDecoder(options);
  if (wanted !== 'node-av') {
    const command = await findFfmpeg();
    if (command !== null) return new FfmpegDecoder({ command });
  }
  const missing = wanted === 'auto' ? 'neither node-av nor ffmpeg is' : `${wanted} is not`;
  throw new DatasetError('DATASET_NO_DECODER', `Video cannot be decoded: ${missing} installed`, {
    hint: 'Run `npm install node-av`, or install ffmpeg so that it is on the PATH.',
  });
}

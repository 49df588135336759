import { DatasetError } from '../errors.ts';
import { describeBackend, isSupported, KNOWN_CODECS, type BackendReport } from './backends.ts';
import { VIDEO_BACKENDS, type VideoBackend, type VideoDecoder } from './decoder.ts';
import { DecoderPool, type DecoderPoolOptions } from './decoder-pool.ts';

/** How to decode video. */
export interface VideoOptions extends DecoderPoolOptions {
  /**
   * `auto`: the first of node-av, ffmpeg and wasm that is there and decodes the dataset's codecs; for AV1 alone, wasm
   * before ffmpeg, which takes ten times as long to jump. All give the same bytes. Default `$ZK0_VIDEO_BACKEND`, else
   * `auto`.
   */
  readonly backend?: VideoBackend | 'auto';
}

/** The back end that is used, and why. */
export interface BackendChoice {
  readonly backend: VideoBackend;
  readonly why: string;
  readonly report: BackendReport;
}

/** Every way to decode video on this machine, and what is wrong with those that cannot be used. For diagnosis. */
export async function videoBackends(): Promise<readonly BackendReport[]> {
  return await Promise.all(VIDEO_BACKENDS.map(describeBackend));
}

/**
 * Chooses how to decode videos.
 *
 * @param codecs names of their codecs as in an MP4's sample description: `av01`, `avc1`, `hvc1`, `mp4v` …
 * @throws DatasetError `DATASET_NO_DECODER` saying what to install
 */
export async function chooseBackend(codecs: readonly string[], options: VideoOptions = {}): Promise<BackendChoice> {
  const { wanted, source } = wantedBackend(options);
  const isAv1 = codecs.length > 0 && codecs.every((codec) => codec === 'av01');
  const order: readonly VideoBackend[] = isAv1 ? ['node-av', 'wasm', 'ffmpeg'] : VIDEO_BACKENDS;
  const reasons: string[] = [];
  for (const backend of wanted === 'auto' ? order : [wanted]) {
    const report = await describeBackend(backend);
    const missing = codecs.filter((codec) => !isSupported(report, codec));
    if (report.problem === null && missing.length === 0) {
      const why = wanted === 'auto' ? ['the first that can', ...reasons].join('; ') : `chosen by ${source}`;
      return { backend, why, report };
    }
    reasons.push(`${backend} ${report.problem ?? `does not decode ${missing.join(', ')}`}`);
  }
  throw new DatasetError('DATASET_NO_DECODER', `Video coded as ${codecs.join(', ')} cannot be decoded here: ${reasons.join('; ')}`, {
    hint:
      wanted === 'auto'
        ? 'Run `npm install node-av`, or install ffmpeg so that it is on the PATH.'
        : `Install ${wanted}, or let the program choose: leave ${source} out.`,
  });
}

/** How video of any codec would be decoded here, in a line for people. @throws DatasetError `DATASET_NO_DECODER` */
export async function describeVideoDecoding(): Promise<string> {
  const choice = await chooseBackend([]);
  const others = (await videoBackends()).filter(({ backend }) => backend !== choice.backend);
  const texts = others.map(({ backend, where, problem, codecs }) => {
    if (problem !== null) return `${backend} ${problem}`;
    return codecs.length === KNOWN_CODECS.length ? `${backend} (${where})` : `${backend} (${where}; only ${codecs.join(', ')})`;
  });
  return `${choice.backend} (${choice.report.where}), ${choice.why}; else ${texts.join(', ')}`;
}

/** Makes the decoder that {@link chooseBackend} chooses. @throws DatasetError `DATASET_NO_DECODER` */
export async function createVideoDecoder(options: VideoOptions = {}, codecs: readonly string[] = []): Promise<VideoDecoder> {
  const { backend, report } = await chooseBackend(codecs, options);
  return new DecoderPool(backend, report.ffmpeg, options);
}

function wantedBackend(options: VideoOptions): { wanted: VideoBackend | 'auto'; source: string } {
  if (options.backend !== undefined) return { wanted: options.backend, source: 'the option `backend`' };
  const wanted = process.env['ZK0_VIDEO_BACKEND'] ?? 'auto';
  if (wanted === 'auto' || VIDEO_BACKENDS.some((backend) => backend === wanted)) {
    return { wanted: wanted as VideoBackend | 'auto', source: 'ZK0_VIDEO_BACKEND' };
  }
  throw new DatasetError('DATASET_NO_DECODER', `ZK0_VIDEO_BACKEND names no way to decode video: "${wanted.slice(0, 40)}"`, {
    hint: `Use auto, ${VIDEO_BACKENDS.join(', ')}.`,
  });
}

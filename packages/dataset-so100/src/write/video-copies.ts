import { constants } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readMp4Summary } from '../video/mp4.ts';
import { DatasetWriteError } from './errors.ts';
import { FIRST_FILE, nextFile, PATHS, type FilePosition, type VideoCoding } from './layout.ts';

/** FFmpeg's names of the codecs that the reader accepts, by their names in an MP4. */
const CODEC_NAMES: Readonly<Record<string, string>> = {
  av01: 'av1',
  avc1: 'h264',
  avc3: 'h264',
  hvc1: 'hevc',
  hev1: 'hevc',
  mp4v: 'mpeg4',
  vp09: 'vp9',
};

/** Copies video files to where a v3.0 dataset has them, byte for byte, each once. */
export class VideoCopies {
  /** How each camera's videos are coded, told from its first file as `info.json` does. */
  readonly codings = new Map<string, VideoCoding>();
  readonly #root: string;
  readonly #pixelFormats: ReadonlyMap<string, string>;
  readonly #positions = new Map<string, FilePosition>();
  readonly #next = new Map<string, FilePosition>();

  /** @param pixelFormats by camera, where the recorder noted it */
  constructor(root: string, pixelFormats: ReadonlyMap<string, string>) {
    this.#root = root;
    this.#pixelFormats = pixelFormats;
  }

  /** Copies a file of a camera, if that is not done yet. Returns its place in the new dataset. */
  async add(camera: string, source: string): Promise<FilePosition> {
    const key = `${camera}\0${source}`;
    const known = this.#positions.get(key);
    if (known !== undefined) return known;
    const position = await this.place(camera, source, (target) => copyFile(source, target, constants.COPYFILE_FICLONE));
    this.#positions.set(key, position);
    return position;
  }

  /**
   * Has a camera's next file written from a file of the source, of which it holds a part or all. Returns its place in the new dataset.
   *
   * @param write writes the file at the path that it is given
   */
  async place(camera: string, source: string, write: (target: string) => Promise<void>): Promise<FilePosition> {
    if (!this.codings.has(camera)) this.codings.set(camera, await codingOf(source, this.#pixelFormats.get(camera)));
    const position = this.#next.get(camera) ?? FIRST_FILE;
    this.#next.set(camera, nextFile(position));
    const target = join(this.#root, PATHS.video(camera, position));
    await mkdir(dirname(target), { recursive: true });
    await write(target);
    return position;
  }
}

async function codingOf(file: string, pixelFormat: string | undefined): Promise<VideoCoding> {
  const { codec } = await readMp4Summary(file);
  const name = CODEC_NAMES[codec];
  if (name === undefined) {
    throw new DatasetWriteError('DATASET_NOT_CONVERTIBLE', `${file} is coded as "${codec}", which is not known here`);
  }
  return { codec: name, ...(pixelFormat === undefined ? {} : { pixelFormat }) };
}

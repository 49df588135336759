import { setImmediate as nextTurn } from 'node:timers/promises';
import { errorMessage, type RgbImage } from '@zk0/core';
import type { CodecContext, FormatContext, Frame, Packet, Stream } from 'node-av/lib';
import { DatasetWriteError } from './errors.ts';
import { loadFfmpeg, type Ffmpeg } from './ffmpeg.ts';
import { leaveRealTime } from './real-time.ts';
import { rgbToYuv420, yuv420Bytes } from './rgb-to-yuv.ts';

/**
 * - `h264`: x264 `veryfast`, crf 18. Encodes and decodes small images several times faster than AV1. The default.
 * - `av1`: SVT-AV1, preset 12, crf 30: what LeRobot itself records with.
 */
export type VideoCodec = 'h264' | 'av1';

/** Every second frame is a key frame, as in LeRobot's recordings: reading any frame decodes two at most. */
const KEY_FRAME_INTERVAL = 2;

// One thread each: the bytes must not depend on how many cores there are.
const ENCODERS = {
  h264: { encoder: 'FF_ENCODER_LIBX264', options: { preset: 'veryfast', crf: '18', tune: 'fastdecode' } },
  av1: { encoder: 'FF_ENCODER_LIBSVTAV1', options: { preset: '12', crf: '30', 'svtav1-params': 'lp=1' } },
} as const;

/** The event loop gets a turn after this long. */
const MAX_BLOCKING_MS = 10;

export interface VideoFileOptions {
  readonly path: string;
  readonly width: number;
  readonly height: number;
  /** Frames per second, an integer. */
  readonly fps: number;
  readonly codec: VideoCodec;
}

/** An MP4 that is encoded frame by frame: YUV 4:2:0, constant frame rate, no B-frames, the same bytes each time. */
export class VideoFile {
  readonly path: string;
  readonly #ffmpeg: Ffmpeg;
  readonly #options: VideoFileOptions;
  readonly #encoder: CodecContext;
  readonly #container: FormatContext;
  readonly #stream: Stream;
  readonly #frame: Frame;
  readonly #packet: Packet;
  readonly #yuv: Buffer;
  #frames = 0;
  #lastTurn = performance.now();

  private constructor(ffmpeg: Ffmpeg, options: VideoFileOptions) {
    const { constants, lib } = ffmpeg;
    const { path, width, height, fps, codec } = options;
    const { encoder, options: encoderOptions } = ENCODERS[codec];
    const name = constants[encoder];
    this.path = path;
    this.#ffmpeg = ffmpeg;
    this.#options = options;
    if (codec === 'av1') process.env['SVT_LOG'] ??= '1'; // Its banner would otherwise go to stderr; errors still do.

    const found = lib.Codec.findEncoderByName(name);
    if (found === null) throw this.#failure(`this FFmpeg has no ${name}`);
    this.#encoder = new lib.CodecContext();
    this.#encoder.allocContext3(found);
    this.#encoder.width = width;
    this.#encoder.height = height;
    this.#encoder.pixelFormat = constants.AV_PIX_FMT_YUV420P;
    this.#encoder.timeBase = new lib.Rational(1, fps);
    this.#encoder.framerate = new lib.Rational(fps, 1);
    this.#encoder.gopSize = KEY_FRAME_INTERVAL;
    this.#encoder.maxBFrames = 0;
    this.#encoder.threadCount = 1;
    this.#encoder.bitRate = 0n;
    this.#encoder.setFlags(constants.AV_CODEC_FLAG_BITEXACT, constants.AV_CODEC_FLAG_GLOBAL_HEADER);
    for (const [option, value] of Object.entries(encoderOptions)) {
      // Not as a Dictionary to `open2`: node-av 6.1.1 frees that twice and takes the process down.
      const { AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN } = constants;
      this.#check(this.#encoder.setOption(option, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN), option);
    }
    this.#check(this.#encoder.open2Sync(found, null), `open ${name} at ${width} × ${height}`);
    if (codec === 'av1') leaveRealTime();

    this.#container = new lib.FormatContext();
    this.#check(this.#container.allocOutputContext2(null, 'mp4', path), 'allocate an MP4');
    this.#container.setFlags(constants.AVFMT_FLAG_BITEXACT);
    this.#stream = this.#container.newStream(null);
    this.#stream.timeBase = this.#encoder.timeBase;
    this.#stream.avgFrameRate = this.#encoder.framerate;
    this.#check(this.#stream.codecpar.fromContext(this.#encoder), 'copy the codec parameters');
    this.#check(this.#container.openOutputSync(), 'open the file');
    this.#check(this.#container.writeHeaderSync(), 'write the header');

    this.#frame = new lib.Frame();
    this.#frame.alloc();
    this.#frame.width = width;
    this.#frame.height = height;
    this.#frame.format = constants.AV_PIX_FMT_YUV420P;
    this.#check(this.#frame.getBuffer(), 'allocate a frame');
    this.#packet = new lib.Packet();
    this.#packet.alloc();
    this.#yuv = Buffer.alloc(yuv420Bytes(width, height));
  }

  /**
   * Opens the file and the encoder.
   *
   * @throws DatasetWriteError `DATASET_NO_ENCODER` without node-av, `DATASET_ENCODING` for sizes the codec refuses.
   */
  static async create(options: VideoFileOptions): Promise<VideoFile> {
    return new VideoFile(await loadFfmpeg(), options);
  }

  /** Frames written so far. Frame `n` is shown at `n / fps` seconds. */
  get frameCount(): number {
    return this.#frames;
  }

  /** Encodes one image of the size given at the start. */
  async write(image: RgbImage): Promise<void> {
    const { width, height } = this.#options;
    rgbToYuv420(image.data, width, height, this.#yuv);
    this.#check(this.#frame.makeWritable(), 'reuse a frame');
    this.#check(this.#frame.fromBuffer(this.#yuv), 'fill a frame');
    this.#frame.pts = BigInt(this.#frames);
    this.#check(this.#encoder.sendFrameSync(this.#frame), `encode frame ${this.#frames}`);
    this.#frames++;
    this.#drain();
    if (performance.now() - this.#lastTurn < MAX_BLOCKING_MS) return;
    await nextTurn();
    this.#lastTurn = performance.now();
  }

  /** Encodes what the encoder still holds and writes the index. The file is complete afterwards. */
  close(): void {
    try {
      this.#check(this.#encoder.sendFrameSync(null), 'flush the encoder');
      this.#drain();
      this.#check(this.#container.writeTrailerSync(), 'write the index');
    } finally {
      this.abort();
    }
  }

  /** Lets go of file and encoder without completing the file. */
  abort(): void {
    this.#container.closeOutputSync();
    this.#container.freeContext();
    this.#encoder.freeContext();
    this.#frame.free();
    this.#packet.free();
  }

  #drain(): void {
    const { AVERROR_EAGAIN, AVERROR_EOF } = this.#ffmpeg.constants;
    for (;;) {
      const status = this.#encoder.receivePacketSync(this.#packet);
      if (status === AVERROR_EAGAIN || status === AVERROR_EOF) return;
      this.#check(status, 'receive a packet');
      this.#packet.streamIndex = this.#stream.index;
      this.#packet.duration = 1n;
      this.#packet.rescaleTs(this.#encoder.timeBase, this.#stream.timeBase);
      this.#check(this.#container.interleavedWriteFrameSync(this.#packet), 'write a packet');
      this.#packet.unref();
    }
  }

  #check(status: number, doing: string): void {
    if (status >= 0) return;
    const cause = new this.#ffmpeg.lib.FFmpegError(status);
    throw this.#failure(`could not ${doing}: ${errorMessage(cause)}`, cause);
  }

  #failure(what: string, cause?: unknown): DatasetWriteError {
    return new DatasetWriteError('DATASET_ENCODING', `${this.path}: ${what}`, {
      ...(cause === undefined ? {} : { cause }),
      hint: 'Check the free disk space and the image size, or choose the other codec.',
    });
  }
}

import { Codec, CodecContext, Dictionary, FormatContext, Frame, Log, Packet, Rational } from 'node-av/lib';
import {
  AV_OPT_SEARCH_CHILDREN,
  AV_OPT_TYPE_STRING,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_LOG_ERROR,
  AV_PIX_FMT_YUV420P,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  FF_ENCODER_LIBSVTAV1,
  FF_ENCODER_LIBX264,
  FF_ENCODER_LIBX265,
  FF_ENCODER_MPEG4,
} from 'node-av/constants';
import { leaveRealTime } from '../src/write/real-time.ts';

// x264 would print its settings and a summary for every file.
Log.setLevel(AV_LOG_ERROR);

/** Ways to code video that occur in datasets, with the traps of each: B-frames, open groups of pictures. */
export const CODINGS = {
  'H.264 with B-frames': { encoder: FF_ENCODER_LIBX264, gop: 12, bFrames: 2, options: { preset: 'veryfast' } },
  'H.264 as LeRobot codes it': { encoder: FF_ENCODER_LIBX264, gop: 2, bFrames: 0, options: { preset: 'veryfast' } },
  'HEVC with open groups': {
    encoder: FF_ENCODER_LIBX265,
    gop: 8,
    bFrames: 3,
    options: { preset: 'ultrafast', 'x265-params': 'open-gop=1:keyint=8:min-keyint=8:bframes=3:log-level=none:pools=1' },
  },
  'AV1 as LeRobot codes it': { encoder: FF_ENCODER_LIBSVTAV1, gop: 2, bFrames: 0, options: { preset: '12', crf: '30', 'svtav1-params': 'lp=1' } },
  'MPEG-4 part 2': { encoder: FF_ENCODER_MPEG4, gop: 12, bFrames: 0, options: {} },
} as const;

export type Coding = (typeof CODINGS)[keyof typeof CODINGS];

/** Side of the squares that spell a frame's number. */
const SQUARE = 16;
const BITS = 16;

export const NUMBERED = { width: SQUARE * 8, height: SQUARE * 2 } as const;

/** Luma plane in which black and white squares spell `number`; colour is left grey. */
function numberedFrame(number: number, width: number, height: number): Buffer {
  const yuv = Buffer.alloc((width * height * 3) / 2, 128);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = Math.floor((y * 2) / height) * 8 + Math.floor((x * 8) / width);
      yuv[y * width + x] = (number >> bit) & 1 ? 220 : 30;
    }
  }
  return yuv;
}

/** Reads the number back from a decoded RGB image. */
export function numberOf(image: { readonly width: number; readonly height: number; readonly data: Uint8Array }): number {
  let number = 0;
  for (let bit = 0; bit < BITS; bit++) {
    const x = Math.floor((((bit % 8) + 0.5) * image.width) / 8);
    const y = Math.floor(((Math.floor(bit / 8) + 0.5) * image.height) / 2);
    if (image.data[(y * image.width + x) * 3]! > 128) number |= 1 << bit;
  }
  return number;
}

/** Codes a video whose every frame spells its own number; frame `n` is shown at `n / fps` seconds. */
export function encodeNumbered(
  path: string,
  coding: Coding,
  video: {
    readonly frames: number;
    readonly fps: number;
    readonly width?: number;
    readonly height?: number;
    /** Levels of noise in every plane. */
    readonly noise?: number;
    /** What the file says of its colours. */
    readonly color?: 'full range' | 'BT.709';
    /** Every frame the same. */
    readonly isFrozen?: boolean;
    /** Number of the first frame; default 0. */
    readonly first?: number;
    /** Written in fragments, without an edit list: where there are B-frames, the first picture comes after time 0. */
    readonly isFragmented?: boolean;
    /** When each frame is shown, in frames; default one after the other. */
    readonly times?: readonly number[];
  },
): void {
  if (coding.encoder === FF_ENCODER_LIBSVTAV1) process.env['SVT_LOG'] ??= '1';
  const { frames, fps, width = NUMBERED.width, height = NUMBERED.height, noise = 0, color, isFrozen = false, first = 0, isFragmented = false, times } = video;
  const codec = Codec.findEncoderByName(coding.encoder)!;
  const encoder = new CodecContext();
  encoder.allocContext3(codec);
  Object.assign(encoder, {
    width,
    height,
    pixelFormat: AV_PIX_FMT_YUV420P,
    timeBase: new Rational(1, fps),
    framerate: new Rational(fps, 1),
    gopSize: coding.gop,
    maxBFrames: coding.bFrames,
    threadCount: 1,
    ...(color === 'full range' ? { colorRange: AVCOL_RANGE_JPEG } : {}),
    ...(color === 'BT.709' ? { colorSpace: AVCOL_SPC_BT709, colorRange: AVCOL_RANGE_MPEG } : {}),
  });
  encoder.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  for (const [key, value] of Object.entries(coding.options)) {
    check(encoder.setOption(key, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN));
  }
  check(encoder.open2Sync(codec, null));
  if (coding.encoder === FF_ENCODER_LIBSVTAV1) leaveRealTime();
  const container = new FormatContext();
  check(container.allocOutputContext2(null, 'mp4', path));
  const stream = container.newStream(null);
  stream.timeBase = encoder.timeBase;
  stream.avgFrameRate = encoder.framerate;
  check(stream.codecpar.fromContext(encoder));
  check(container.openOutputSync());
  const options = isFragmented ? Dictionary.fromObject({ movflags: 'frag_keyframe+empty_moov+default_base_moof' }) : null;
  check(container.writeHeaderSync(options));
  const packet = new Packet();
  packet.alloc();
  const drain = (): void => {
    while (encoder.receivePacketSync(packet) >= 0) {
      packet.streamIndex = stream.index;
      packet.duration = 1n;
      packet.rescaleTs(encoder.timeBase, stream.timeBase);
      check(container.interleavedWriteFrameSync(packet));
      packet.unref();
    }
  };
  for (let number = 0; number < frames; number++) {
    const frame = new Frame();
    frame.alloc();
    Object.assign(frame, { width, height, format: AV_PIX_FMT_YUV420P });
    check(frame.getBuffer());
    const yuv = numberedFrame(isFrozen ? 5 : first + number, width, height);
    // Cheap deterministic noise: real cameras make some, and it is what costs decoders their time.
    for (let i = 0, state = number + 1; noise > 0 && i < yuv.length; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      yuv[i] = yuv[i]! + ((state >>> 24) % noise);
    }
    check(frame.fromBuffer(yuv));
    frame.pts = BigInt(times?.[number] ?? number);
    check(encoder.sendFrameSync(frame));
    frame.free();
    drain();
  }
  check(encoder.sendFrameSync(null));
  drain();
  check(container.writeTrailerSync());
  container.closeOutputSync();
  container.freeContext();
  encoder.freeContext();
  packet.free();
}

function check(status: number): void {
  if (status < 0) throw new Error(`FFmpeg status ${status}`);
}

import {
  AV_FRAME_FLAG_CORRUPT,
  AV_LOG_QUIET,
  AV_PIX_FMT_RGB24,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  AVMEDIA_TYPE_VIDEO,
  AV_NOPTS_VALUE,
  AVSEEK_FLAG_BACKWARD,
  SWS_BILINEAR,
  type AVPixelFormat,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, FormatContext, Frame, Log, Packet, SoftwareScaleContext } from 'node-av/lib';
import { MAX_IMAGE_SIDE } from '../limits.ts';
import { frameBuffer, type FrameReader, type VideoFrame } from './decoder.ts';

/** What decoding towards a time came upon. */
interface Search {
  /** The nearest frame, when it is within the tolerance. */
  readonly frame: Frame | null;
  /** Time of the first frame decoded; null when there was none. */
  readonly first: number | null;
  /** Time of the nearest frame; null when there was none. */
  readonly nearest: number | null;
}

/** Targets at most this many frames ahead are always reached by decoding on: a seek costs as much. */
const FORWARD_FRAMES = 2;

/** Decoders work on frames this much larger than shown ones, in pixels a side. */
const PADDING = 256;

/** Seeks per frame, each twice as far back as the one before: enough to reach the start of any file. */
const MAX_SEEKS = 24;

Log.setLevel(AV_LOG_QUIET);

/**
 * Random access to one video file through FFmpeg inside this process. Every call blocks the thread, so it belongs into
 * a worker thread.
 */
export class NodeAvReader implements FrameReader {
  readonly #format = new FormatContext();
  readonly #decoder = new CodecContext();
  readonly #converter = new SoftwareScaleContext();
  /** What the converter takes; null before the first frame. */
  #convertedFormat: Frame['format'] | null = null;
  /** Converted into. */
  readonly #rgb = new Frame();
  readonly #packet = new Packet();
  /** Decoded into in turn, so that the frame before the last one is still there. */
  #frames: [Frame, Frame] = [new Frame(), new Frame()];
  readonly #stream: number;
  /** Seconds per tick of the stream's clock. */
  readonly #tick: number;
  /** When the stream's first picture is shown, in seconds: taken off every time. */
  readonly #start: number;
  /** Seconds a frame lasts; 0 where the file does not say. */
  readonly #frameSeconds: number;
  /** A frame this close to the time asked for is taken without looking at the next: a quarter of a frame, in seconds. */
  readonly #near: number;
  readonly #width: number;
  readonly #height: number;
  /** The longest way from where a seek landed to its target so far, in seconds: what decoding on may cost instead. */
  #seekCost = 0;
  /** Time of the last frame decoded; null when the decoder must be positioned by a seek first. */
  #position: number | null = null;
  #isFlushing = false;

  constructor(path: string) {
    check(this.#format.openInputSync(path), 'open');
    check(this.#format.findStreamInfoSync(), 'find streams of');
    const stream = this.#format.streams.find((candidate) => candidate.codecpar.codecType === AVMEDIA_TYPE_VIDEO);
    if (stream === undefined) throw new Error('it has no video stream');
    const codec = Codec.findDecoder(stream.codecpar.codecId);
    if (codec === null) throw new Error(`there is no decoder for codec ${stream.codecpar.codecId}`);
    this.#stream = stream.index;
    this.#tick = stream.timeBase.num / stream.timeBase.den;
    this.#start = stream.startTime === AV_NOPTS_VALUE ? 0 : Number(stream.startTime) * this.#tick;
    const { num: frames, den: seconds } = stream.avgFrameRate;
    this.#frameSeconds = frames > 0 && seconds > 0 ? seconds / frames : 0;
    this.#near = this.#frameSeconds / 4;
    const { width, height } = stream.codecpar;
    if (width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE) throw new Error(`it claims frames of ${width}×${height} pixels`);
    this.#width = width;
    this.#height = height;
    this.#decoder.allocContext3(codec);
    check(this.#decoder.parametersToContext(stream.codecpar), 'configure the decoder for');
    // One thread a reader: two make a single random frame slower, and the pool already uses every core.
    this.#decoder.threadCount = 1;
    // The coded data may say otherwise than the file's tables; a decoder allocates for no more than those.
    check(this.#decoder.setOption('max_pixels', String((width + PADDING) * (height + PADDING))), 'set a limit for');
    check(this.#decoder.open2Sync(codec), 'open the decoder for');
    this.#packet.alloc();
    for (const frame of this.#frames) frame.alloc();
    this.#rgb.alloc();
    this.#rgb.width = width;
    this.#rgb.height = height;
    this.#rgb.format = AV_PIX_FMT_RGB24;
    check(this.#rgb.getBuffer(), 'allocate a picture for');
  }

  frameAt(timestamp: number, tolerance: number, into?: ArrayBuffer): VideoFrame {
    return this.#convert(this.#find(timestamp, tolerance), into);
  }

  #find(timestamp: number, tolerance: number): Frame {
    if (this.#position !== null) {
      if (Math.abs(this.#position - timestamp) <= Math.min(tolerance, this.#near)) return this.#frames[0];
      const near = Math.max(this.#seekCost, FORWARD_FRAMES * this.#frameSeconds);
      if (timestamp > this.#position && timestamp <= this.#position + near) {
        const found = this.#decodeUntil(timestamp, tolerance, this.#position);
        if (found.frame !== null) return found.frame;
      }
    }
    // A seek lands on a key frame at or before the target. With an open GOP the frames that follow it in decoding
    // order but precede it in time are lost, so the first frame out can be later than the target: start further back.
    const floor = Math.min(0, -this.#start);
    let back = 0;
    for (let seek = 0; seek < MAX_SEEKS; seek++) {
      const from = Math.max(floor, timestamp - back);
      this.#seek(from);
      const found = this.#decodeUntil(timestamp, tolerance);
      if (found.first !== null) this.#seekCost = Math.max(this.#seekCost, timestamp - found.first);
      if (found.frame !== null) return found.frame;
      const isLate = found.first === null || found.first > timestamp;
      if (!isLate || from === floor) {
        const nearest = found.nearest === null ? 'there are none' : `the nearest is at ${found.nearest.toFixed(6)} s`;
        throw new Error(`no frame within ${tolerance} s of ${timestamp.toFixed(6)} s; ${nearest}`);
      }
      back = back === 0 ? Math.max(0.1, 4 * tolerance) : back * 2;
    }
    throw new Error(`no frame at ${timestamp.toFixed(6)} s`);
  }

  close(): void {
    for (const frame of this.#frames) frame.free();
    this.#packet.free();
    this.#converter.freeContext();
    this.#rgb.free();
    this.#decoder.freeContext();
    this.#format.closeInputSync();
  }

  #seek(timestamp: number): void {
    const target = BigInt(Math.round((timestamp + this.#start) / this.#tick));
    check(this.#format.seekFrameSync(this.#stream, target, AVSEEK_FLAG_BACKWARD), 'seek in');
    this.#decoder.flushBuffers();
    this.#isFlushing = false;
    this.#position = null;
  }

  /** Decodes on until the nearest frame to `timestamp` is known; `nearest` is the time of the frame decoded before. */
  #decodeUntil(timestamp: number, tolerance: number, nearest: number | null = null): Search {
    let first: number | null = null;
    for (;;) {
      const time = this.#next();
      if (time === null) {
        this.#position = null;
        const isHit = nearest !== null && Math.abs(nearest - timestamp) <= tolerance;
        return { frame: isHit ? this.#frames[1] : null, first, nearest };
      }
      first ??= time;
      const distance = Math.abs(time - timestamp);
      const before = nearest === null ? Infinity : Math.abs(nearest - timestamp);
      if (time >= timestamp || distance <= Math.min(tolerance, this.#near)) {
        if (before < distance) return { frame: before <= tolerance ? this.#frames[1] : null, first, nearest };
        return { frame: distance <= tolerance ? this.#frames[0] : null, first, nearest: time };
      }
      nearest = time;
    }
  }

  /** Decodes one frame into `#frames[0]`, the one before moves to `#frames[1]`. Returns its time; null at the end. */
  #next(): number | null {
    this.#frames = [this.#frames[1], this.#frames[0]];
    const frame = this.#frames[0];
    for (;;) {
      const received = this.#decoder.receiveFrameSync(frame);
      if (received === AVERROR_EOF) return null;
      if (received !== AVERROR_EAGAIN) {
        check(received, 'decode');
        if (frame.decodeErrorFlags !== 0 || (frame.flags & AV_FRAME_FLAG_CORRUPT) !== 0) {
          this.#position = null;
          throw new Error('the coded data is damaged');
        }
        this.#position = Number(frame.bestEffortTimestamp) * this.#tick - this.#start;
        return this.#position;
      }
      this.#feed();
    }
  }

  /** Gives the decoder its next packet, or the sign that there are no more. */
  #feed(): void {
    if (this.#isFlushing) throw new Error('the decoder asks for data after its end');
    for (;;) {
      const read = this.#format.readFrameSync(this.#packet);
      if (read === AVERROR_EOF) {
        this.#isFlushing = true;
        check(this.#decoder.sendPacketSync(null), 'flush the decoder of');
        return;
      }
      check(read, 'read');
      const isOurs = this.#packet.streamIndex === this.#stream;
      const sent = isOurs ? this.#decoder.sendPacketSync(this.#packet) : 0;
      this.#packet.unref();
      if (sent < 0) {
        this.#position = null;
        check(sent, 'decode');
      }
      if (isOurs) return;
    }
  }

  #convert(frame: Frame, into: ArrayBuffer | undefined): VideoFrame {
    const { width, height } = frame;
    if (width !== this.#width || height !== this.#height) {
      throw new Error(`a frame has ${width}×${height} pixels, the file says ${this.#width}×${this.#height}`);
    }
    if (frame.format !== this.#convertedFormat) {
      this.#converter.getContext(width, height, frame.format as AVPixelFormat, width, height, AV_PIX_FMT_RGB24, SWS_BILINEAR);
      this.#convertedFormat = frame.format;
    }
    check(this.#converter.scaleFrameSync(this.#rgb, frame), 'convert a frame of');
    const data = frameBuffer(width, height, into);
    data.set(this.#rgb.toBuffer());
    return { timestamp: Number(frame.bestEffortTimestamp) * this.#tick - this.#start, width, height, data };
  }
}

function check(result: number, what: string): void {
  if (result < 0) throw new Error(`FFmpeg could not ${what} it: ${new FFmpegError(result).message}`);
}

import { createRequire } from 'node:module';
import path from 'node:path';
import { EncodedPacketSink, FilePathSource, Input, MP4, type EncodedPacket } from 'mediabunny';
import { MAX_IMAGE_SIDE } from '../limits.ts';
import { readAv1Sequence, type Av1Sequence } from './av1-sequence.ts';
import { frameBuffer, type FrameReader, type VideoFrame } from './decoder.ts';
import { yuvToRgb, type Plane } from './yuv-to-rgb.ts';

/** dav1d as ogv builds it: a file inside that package, hence its pinned version. */
const DECODER = 'ogv-decoder-video-av1-simd-wasm.js';

/** The part of that module which is used. */
interface Dav1d {
  init(done: () => void): void;
  /** Decodes one packet, at once; `frameBuffer` holds its picture then. */
  processFrame(data: ArrayBuffer, done: () => void): void;
  frameBuffer: { readonly y: Plane; readonly u: Plane; readonly v: Plane } | null;
}

type OpenDav1d = (options: object) => Promise<Dav1d>;

/**
 * Random access to one AV1 file without native code: mediabunny reads the MP4, dav1d in WebAssembly decodes. Every
 * packet of AV1 in MP4 is one picture, and they come in the order of their times.
 */
export class WasmReader implements FrameReader {
  readonly #input: Input;
  readonly #sink: EncodedPacketSink;
  readonly #width: number;
  readonly #height: number;
  /** When the first picture is shown, in seconds: taken off every time. */
  readonly #start: number;
  #decoder: Dav1d | null = null;
  /** The last packet decoded; the next one may follow. */
  #last: EncodedPacket | null = null;

  private constructor(input: Input, sink: EncodedPacketSink, size: { readonly width: number; readonly height: number }, start: number) {
    this.#input = input;
    this.#sink = sink;
    this.#width = size.width;
    this.#height = size.height;
    this.#start = start;
  }

  static async open(file: string): Promise<WasmReader> {
    const input = new Input({ source: new FilePathSource(file), formats: [MP4] });
    try {
      const track = await input.getPrimaryVideoTrack();
      if (track === null) throw new Error('it has no video stream');
      const codec = await track.getCodec();
      if (codec !== 'av1') throw new Error(`only AV1 is decoded without native code, not ${codec ?? 'an unknown codec'}`);
      const [width, height] = await Promise.all([track.getCodedWidth(), track.getCodedHeight()]);
      if (width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE) throw new Error(`it claims frames of ${width}×${height} pixels`);
      return new WasmReader(input, new EncodedPacketSink(track), { width, height }, await track.getFirstTimestamp());
    } catch (error) {
      input.dispose();
      throw error;
    }
  }

  async frameAt(timestamp: number, tolerance: number, into?: ArrayBuffer): Promise<VideoFrame> {
    const target = await this.#nearest(timestamp + this.#start);
    const found = target === null ? NaN : target.timestamp - this.#start;
    if (target === null || Math.abs(found - timestamp) > tolerance) {
      const nearest = target === null ? 'there are none' : `the nearest is at ${found.toFixed(6)} s`;
      throw new Error(`no frame within ${tolerance} s of ${timestamp.toFixed(6)} s; ${nearest}`);
    }
    await this.#decodeTo(target);
    const planes = this.#decoder?.frameBuffer;
    if (planes == null) throw new Error('the coded data is damaged');
    const size = { width: this.#width, height: this.#height };
    const data = frameBuffer(size.width, size.height, into);
    yuvToRgb(planes, size, data);
    return { timestamp: found, ...size, data };
  }

  close(): void {
    this.#input.dispose();
    this.#decoder = null;
  }

  async #nearest(timestamp: number): Promise<EncodedPacket | null> {
    const options = { metadataOnly: true };
    const before = await this.#sink.getPacket(timestamp, options);
    const after = before === null ? await this.#sink.getFirstPacket(options) : await this.#sink.getNextPacket(before, options);
    if (before === null || after === null) return before ?? after;
    return timestamp - before.timestamp <= after.timestamp - timestamp ? before : after;
  }

  /** Decodes from the key frame before the target, or on from where the decoder is, up to the target. */
  async #decodeTo(target: EncodedPacket): Promise<void> {
    const last = this.#last;
    if (last?.timestamp === target.timestamp) return;
    const key = await this.#sink.getKeyPacket(target.timestamp);
    if (key === null) throw new Error('it has no key frame');
    const isAhead = last !== null && last.timestamp < target.timestamp && last.timestamp >= key.timestamp;
    let packet = isAhead ? await this.#sink.getNextPacket(last) : key;
    for (; packet !== null; packet = await this.#sink.getNextPacket(packet)) {
      await this.#decode(packet);
      if (packet.timestamp >= target.timestamp) return;
    }
    throw new Error('it ends within a group of pictures');
  }

  async #decode(packet: EncodedPacket): Promise<void> {
    const { data, timestamp } = packet;
    const sequence = readAv1Sequence(data);
    if (sequence !== null) checkSequence(sequence, this.#width, this.#height);
    else if (this.#decoder === null) throw new Error('its key frame has no sequence header');
    const decoder = (this.#decoder ??= await openDav1d(this.#width, this.#height));
    decoder.frameBuffer = null;
    // A copy: the module takes the whole buffer for the packet. It calls back before it returns.
    decoder.processFrame(data.slice().buffer, () => undefined);
    if (!hasPicture(decoder)) throw new Error(`the coded data is damaged at ${timestamp.toFixed(6)} s`);
    this.#last = packet;
  }
}

/** A damaged packet leaves none. */
function hasPicture(decoder: Dav1d): boolean {
  return decoder.frameBuffer !== null;
}

/** Refuses what dav1d as built here cannot decode, or would need too much memory for. */
function checkSequence(sequence: Av1Sequence, width: number, height: number): void {
  const { maxWidth, maxHeight, bitDepth, is420 } = sequence;
  if (bitDepth !== 8 || !is420) throw new Error('without native code only 8-bit 4:2:0 is decoded');
  if (maxWidth !== width || maxHeight !== height) {
    throw new Error(`its frames have up to ${maxWidth}×${maxHeight} pixels, the file says ${width}×${height}`);
  }
  // swscale goes another way for these, with other bytes.
  if (width % 2 !== 0 || height % 2 !== 0) throw new Error('without native code only even sizes are decoded');
}

async function openDav1d(width: number, height: number): Promise<Dav1d> {
  const require = createRequire(import.meta.url);
  const folder = path.join(path.dirname(require.resolve('ogv/package.json')), 'dist');
  const open = require(path.join(folder, DECODER)) as OpenDav1d;
  const [chromaWidth, chromaHeight] = [(width + 1) >> 1, (height + 1) >> 1];
  const crop = { cropLeft: 0, cropTop: 0, cropWidth: width, cropHeight: height, displayWidth: width, displayHeight: height };
  const decoder = await open({
    locateFile: (name: string) => path.join(folder, name),
    videoFormat: { width, height, chromaWidth, chromaHeight, ...crop },
    print: () => undefined,
    printErr: () => undefined,
  });
  await new Promise<void>((resolve) => {
    decoder.init(resolve);
  });
  return decoder;
}

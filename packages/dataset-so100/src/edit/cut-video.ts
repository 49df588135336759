import { errorMessage } from '@zk0/core';
import type { FormatContext, Packet, Stream } from 'node-av/lib';
import { DatasetError } from '../errors.ts';
import { MAX_TIMED_FRAMES } from '../limits.ts';
import { readMp4Summary } from '../video/mp4.ts';
import { loadFfmpeg, type Ffmpeg } from '../write/ffmpeg.ts';
import { planCut, type CutPlan, type PacketTimes } from './plan-cut.ts';

/** What was cut out of a video. */
export interface VideoCut {
  /** Frames of the copy before the first that was asked for: the key frame that it needs, and what lies between. */
  readonly lead: number;
  /** All frames of the copy. */
  readonly frames: number;
}

/**
 * Copies a part of an MP4 into a new one, packet by packet: nothing is decoded or coded. The copy begins with a key frame, which may lie
 * before the first frame asked for, and ends where no frame in it needs a later one. Its first frame is shown at 0 s; all others keep
 * their distances.
 *
 * @param frames of the source by its own tables, which FFmpeg has to find too
 * @param first frame to copy, in the order in which they are shown, from 0
 * @param end one past the last frame
 * @throws DatasetError `DATASET_VIDEO_CUT` where the file cannot be taken apart
 * @throws DatasetWriteError `DATASET_NO_ENCODER` without node-av
 */
export async function cutVideo(source: string, target: string, frames: number, first: number, end: number): Promise<VideoCut> {
  const ffmpeg = await loadFfmpeg();
  const times = await withInput(ffmpeg, source, (input, stream, packet) => readTimes(ffmpeg, source, input, stream, packet));
  const shown = times.filter(({ isShown }) => isShown).length;
  if (shown !== frames) throw uncut(source, `its tables list ${frames} frames, FFmpeg finds ${shown}`);
  const plan = planCut(times, first, end);
  if (plan === null) throw uncut(source, `no key frame comes before frame ${first}`);
  await withInput(ffmpeg, source, (input, stream, packet) => writeCut(ffmpeg, source, target, { input, stream, packet, plan }));
  const { frameCount } = await readMp4Summary(target);
  if (frameCount !== plan.frames) throw uncut(source, `the part of ${plan.frames} frames that was cut out has ${frameCount}`);
  return { lead: plan.lead, frames: plan.frames };
}

/** @throws DatasetError whatever FFmpeg has against the file */
async function withInput<T>(
  { lib, constants }: Ffmpeg,
  source: string,
  work: (input: FormatContext, stream: Stream, packet: Packet) => Promise<T>,
): Promise<T> {
  const input = new lib.FormatContext();
  const packet = new lib.Packet();
  packet.alloc();
  const check = (status: number, doing: string): void => {
    if (status < 0) throw uncut(source, `FFmpeg could not ${doing}: ${errorMessage(new lib.FFmpegError(status))}`);
  };
  try {
    check(await input.openInput(source), 'open it');
    // Of MPEG-4 part 2 the size of frames comes from the coded data.
    check(await input.findStreamInfo(), 'find its streams');
    const stream = input.streams.find(({ codecpar }) => codecpar.codecType === constants.AVMEDIA_TYPE_VIDEO);
    if (stream === undefined) throw uncut(source, 'it has no video stream');
    return await work(input, stream, packet);
  } finally {
    packet.free();
    await input.closeInput();
  }
}

/** Calls `visit` with every packet of a stream, in the order of the file. */
async function eachPacket(
  { lib, constants }: Ffmpeg,
  source: string,
  { input, stream, packet }: { readonly input: FormatContext; readonly stream: Stream; readonly packet: Packet },
  visit: (number: number) => Promise<boolean>,
): Promise<void> {
  for (let number = 0; ; ) {
    const status = await input.readFrame(packet);
    if (status === constants.AVERROR_EOF) return;
    if (status < 0) throw uncut(source, `FFmpeg could not read it: ${errorMessage(new lib.FFmpegError(status))}`);
    const isOurs = packet.streamIndex === stream.index;
    const goesOn = !isOurs || (await visit(number));
    packet.unref();
    if (!goesOn) return;
    if (isOurs) number++;
  }
}

async function readTimes(ffmpeg: Ffmpeg, source: string, input: FormatContext, stream: Stream, packet: Packet): Promise<PacketTimes[]> {
  const { AV_NOPTS_VALUE, AV_PKT_FLAG_KEY, AV_PKT_FLAG_DISCARD } = ffmpeg.constants;
  const times: PacketTimes[] = [];
  await eachPacket(ffmpeg, source, { input, stream, packet }, (number) => {
    if (number >= MAX_TIMED_FRAMES) throw uncut(source, `it has more than ${MAX_TIMED_FRAMES} frames`);
    const { pts, dts, flags } = packet;
    if (pts === AV_NOPTS_VALUE || dts === AV_NOPTS_VALUE) throw uncut(source, `frame ${number} has no time`);
    times.push({ pts: Number(pts), dts: Number(dts), isKey: (flags & AV_PKT_FLAG_KEY) !== 0, isShown: (flags & AV_PKT_FLAG_DISCARD) === 0 });
    return Promise.resolve(true);
  });
  return times;
}

async function writeCut(
  ffmpeg: Ffmpeg,
  source: string,
  target: string,
  parts: { readonly input: FormatContext; readonly stream: Stream; readonly packet: Packet; readonly plan: CutPlan },
): Promise<void> {
  const { lib, constants } = ffmpeg;
  const { stream, packet, plan } = parts;
  const check = (status: number, doing: string): void => {
    if (status < 0) throw uncut(source, `FFmpeg could not ${doing} ${target}: ${errorMessage(new lib.FFmpegError(status))}`);
  };
  const output = new lib.FormatContext();
  try {
    check(output.allocOutputContext2(null, 'mp4', target), 'allocate');
    output.setFlags(constants.AVFMT_FLAG_BITEXACT);
    const copy = output.newStream(null);
    check(stream.codecpar.copy(copy.codecpar), 'copy the codec parameters to');
    copy.timeBase = stream.timeBase;
    copy.avgFrameRate = stream.avgFrameRate;
    check(await output.openOutput(), 'open');
    check(await output.writeHeader(), 'write the header of');
    await eachPacket(ffmpeg, source, parts, async (number) => {
      const dts = plan.dtsOf.get(number);
      if (dts !== undefined) {
        packet.pts -= BigInt(plan.begin);
        packet.dts = BigInt(dts - plan.begin);
        packet.streamIndex = copy.index;
        packet.rescaleTs(stream.timeBase, copy.timeBase);
        check(await output.interleavedWriteFrame(packet), 'write a packet of');
      }
      return number + 1 < plan.last;
    });
    check(await output.writeTrailer(), 'write the index of');
  } finally {
    await output.closeOutput();
    output.freeContext();
  }
}

/** @param what is in the way */
export function uncut(file: string, what: string): DatasetError {
  return new DatasetError('DATASET_VIDEO_CUT', `${file} holds episodes that are copied and others that are not, and cannot be cut: ${what}`, {
    file,
    hint: 'Copy such files whole with --whole-videos: the images of the other episodes are in the copy then, unused.',
  });
}

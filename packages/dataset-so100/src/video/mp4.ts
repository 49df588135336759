import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { DatasetError } from '../errors.ts';
import { MAX_MOOV_BYTES, MAX_MP4_BOXES } from '../limits.ts';
import { clockOfTicks, type FrameClock } from './frame-clock.ts';
import { boxAt, child, children, type Box } from './mp4-boxes.ts';
import { earliest, fragmentDefaults, fragmentTimes, listedTimes, type FragmentDefaults } from './mp4-times.ts';

/** What an MP4 file's own tables say of its video track. */
export interface Mp4Summary {
  /** Sample description, e.g. `av01`, `avc1`, `hvc1`, `mp4v`. */
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  /** Frames; 0 where the file does not say. */
  readonly frameCount: number;
  /** Frames per second, on average; null where the file does not say. */
  readonly fps: number | null;
  /** When its frames are shown; null where its tables do not say, or use edits that are not understood. */
  readonly clock: FrameClock | null;
  /** Whether the first picture may come later than at the file's time 0. */
  readonly startsLate: boolean;
  /** Hex SHA-256 over the file's size, its tables and its first bytes of video; identifies the recording. */
  readonly fingerprint: string;
}

/** Bytes of coded video that go into the fingerprint besides the tables. */
const FINGERPRINT_BYTES = 65_536;

/**
 * Reads the tables of an MP4 (ISO 14496-12) and proves that the file is complete: its boxes fill it exactly. Costs a
 * few reads, no decoding, so that every video of a dataset can be checked when it is opened.
 *
 * @throws DatasetError `DATASET_FILE_DAMAGED` naming the file
 */
export async function readMp4Summary(path: string): Promise<Mp4Summary> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const boxes = await topLevelBoxes(handle, size, path);
    const moov = boxes.find((box) => box.type === 'moov');
    if (moov === undefined) throw damaged(path, 'it has no moov box, so the recording was not finished');
    if (moov.end - moov.start > MAX_MOOV_BYTES) throw damaged(path, `its moov box claims ${moov.end - moov.start} bytes`);
    const tables = await read(handle, moov.start, moov.end - moov.start, path);
    const media = boxes.find((box) => box.type === 'mdat');
    const head = media && (await read(handle, media.start, Math.min(FINGERPRINT_BYTES, media.end - media.start), path));
    const hash = createHash('sha256').update(`${size}:`).update(tables);
    if (head !== undefined) hash.update(head);
    const { fragments, ...track } = videoTrack(tables, path);
    const times = fragments === null ? null : await readFragments(handle, boxes, fragments, path);
    return { ...track, ...times, fingerprint: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

async function topLevelBoxes(handle: FileHandle, size: number, path: string): Promise<Box[]> {
  const boxes: Box[] = [];
  let offset = 0;
  while (offset < size) {
    if (boxes.length >= MAX_MP4_BOXES) throw damaged(path, `it has more than ${MAX_MP4_BOXES} boxes`);
    const header = await read(handle, offset, Math.min(16, size - offset), path);
    const box = boxAt(header, 0, size - offset);
    if (box === null || offset + box.end > size) {
      const claimed = box === null ? 'an unreadable box' : `a box "${box.type}" that ends at byte ${offset + box.end}`;
      throw damaged(path, `it is cut off: ${size} bytes, with ${claimed}`);
    }
    if (offset === 0 && box.type !== 'ftyp') throw damaged(path, 'it is no MP4');
    boxes.push({ type: box.type, start: offset + box.start, end: offset + box.end });
    offset += box.end;
  }
  if (size === 0) throw damaged(path, 'it is empty');
  return boxes;
}

interface VideoTrack extends Omit<Mp4Summary, 'fingerprint'> {
  /** Of a file whose samples are listed in fragments. */
  readonly fragments: (FragmentDefaults & { readonly timescale: number }) | null;
}

function videoTrack(moov: Buffer, path: string): VideoTrack {
  for (const track of children(moov, { type: 'moov', start: 0, end: moov.length }, 'trak')) {
    const media = child(moov, track, 'mdia');
    const handler = child(moov, media, 'hdlr');
    if (media === undefined || handler === undefined || handler.start + 12 > handler.end) continue;
    if (moov.toString('latin1', handler.start + 8, handler.start + 12) !== 'vide') continue;
    const samples = child(moov, child(moov, media, 'minf'), 'stbl');
    const description = child(moov, samples, 'stsd');
    const sizes = child(moov, samples, 'stsz') ?? child(moov, samples, 'stz2');
    // stsd: version and flags, entry count, then a sample entry whose width and height are 32 bytes into it.
    if (samples === undefined || description === undefined || sizes === undefined || description.start + 44 > description.end) break;
    const entry = description.start + 8;
    const frameCount = sizes.start + 12 <= sizes.end ? moov.readUInt32BE(sizes.start + 8) : 0;
    const timescale = timescaleOf(moov, child(moov, media, 'mdhd'));
    const seconds = ticksOf(moov, child(moov, samples, 'stts')) / timescale;
    const times = frameCount > 0 && Number.isFinite(timescale) ? listedTimes(moov, track, samples, frameCount) : null;
    const defaults = frameCount === 0 && Number.isFinite(timescale) ? fragmentDefaults(moov, track) : null;
    const hasEdits = child(moov, track, 'edts') !== undefined;
    const shown = times === null || times.ticks.length === 0 ? null : times;
    return {
      codec: moov.toString('latin1', entry + 4, entry + 8),
      width: moov.readUInt16BE(entry + 32),
      height: moov.readUInt16BE(entry + 34),
      frameCount: shown?.ticks.length ?? frameCount,
      fps: frameCount > 0 && seconds > 0 ? frameCount / seconds : null,
      clock: shown === null ? null : clockOfTicks(shown.ticks, timescale),
      startsLate: shown?.startsLate ?? hasEdits,
      fragments: defaults === null ? null : { ...defaults, timescale },
    };
  }
  throw damaged(path, 'it has no readable video track');
}

/** Counts and times the samples of a fragmented file. */
async function readFragments(
  handle: FileHandle,
  boxes: readonly Box[],
  { timescale, ...defaults }: NonNullable<VideoTrack['fragments']>,
  path: string,
): Promise<Pick<Mp4Summary, 'frameCount' | 'fps' | 'clock' | 'startsLate'> | null> {
  const ticks: number[] = [];
  let next = 0;
  let bytes = 0;
  for (const { type, start, end } of boxes) {
    if (type !== 'moof') continue;
    bytes += end - start;
    if (bytes > MAX_MOOV_BYTES) throw damaged(path, `its moof boxes claim ${bytes} bytes and more`);
    next = fragmentTimes(await read(handle, start, end - start, path), defaults, next, ticks);
    if (Number.isNaN(next)) return null;
  }
  if (ticks.length === 0) return null;
  const clock = clockOfTicks(Float64Array.from(ticks), timescale);
  const startsLate = earliest(ticks) > 0;
  return { frameCount: ticks.length, startsLate, fps: clock.step === null || ticks.length < 2 ? null : 1 / clock.step, clock };
}

/** Ticks a second that a media header states; infinity where it is absent or makes no sense. */
function timescaleOf(moov: Buffer, header: Box | undefined): number {
  if (header === undefined) return Infinity;
  const at = header.start + (moov[header.start] === 1 ? 20 : 12);
  return at + 4 > header.end ? Infinity : moov.readUInt32BE(at) || Infinity;
}

/**
 * What the samples last together, in ticks; 0 where nothing says it. The duration in the media header is no measure: FFmpeg 8 adds
 * the delay of B-frames to it.
 */
function ticksOf(moov: Buffer, durations: Box | undefined): number {
  if (durations === undefined || durations.start + 8 > durations.end) return 0;
  const entries = Math.min(moov.readUInt32BE(durations.start + 4), Math.floor((durations.end - durations.start - 8) / 8));
  let ticks = 0;
  for (let entry = 0; entry < entries; entry++) {
    const at = durations.start + 8 + 8 * entry;
    ticks += moov.readUInt32BE(at) * moov.readUInt32BE(at + 4);
  }
  return ticks;
}

async function read(handle: FileHandle, position: number, length: number, path: string): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await handle.read(bytes, 0, length, position);
  if (bytesRead !== length) throw damaged(path, 'it is cut off');
  return bytes;
}

function damaged(path: string, what: string): DatasetError {
  return new DatasetError('DATASET_FILE_DAMAGED', `${path} is no readable video: ${what}`, {
    file: path,
    hint: 'Copy or download the file again, or leave its episodes out with ?episodes=….',
  });
}

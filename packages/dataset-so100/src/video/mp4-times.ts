import { MAX_TIMED_FRAMES } from '../limits.ts';
import { child, children, type Box } from './mp4-boxes.ts';

/** Presentation times of a track's samples. */
export interface SampleTimes {
  /** In no order. */
  readonly ticks: Float64Array;
  /** Whether the first of them comes after the beginning of the file. */
  readonly startsLate: boolean;
}

/**
 * Reads the presentation times of a track whose samples are listed in `moov`: `stts` and `ctts`, less what its edit list leaves out.
 * Null where the tables are absent, contradict each other, or use edits that are not understood.
 *
 * @param track its `trak` box
 * @param samples its `stbl` box
 */
export function listedTimes(moov: Buffer, track: Box, samples: Box, frameCount: number): SampleTimes | null {
  const durations = child(moov, samples, 'stts');
  if (durations === undefined || frameCount > MAX_TIMED_FRAMES) return null;
  const ticks = new Float64Array(frameCount);
  let filled = 0;
  let decode = 0;
  for (const { at, entry } of entries(moov, durations, 8)) {
    const delta = entry.readUInt32BE(at + 4);
    for (let left = entry.readUInt32BE(at); left > 0 && filled < frameCount; left--, decode += delta) ticks[filled++] = decode;
  }
  if (filled !== frameCount) return null;
  const offsets = child(moov, samples, 'ctts');
  if (offsets !== undefined) {
    const version = moov[offsets.start]!;
    let sample = 0;
    for (const { at, entry } of entries(moov, offsets, 8)) {
      const offset = version === 0 ? entry.readUInt32BE(at + 4) : entry.readInt32BE(at + 4);
      for (let left = entry.readUInt32BE(at); left > 0 && sample < frameCount; left--) ticks[sample] = ticks[sample++]! + offset;
    }
  }
  return edited(moov, track, ticks);
}

/** Most edits of a track that are understood: an empty one, and one that begins after the delay of B-frames. */
const MAX_EDITS = 2;

/** Leaves out samples before the media time at which an edit list begins. */
function edited(moov: Buffer, track: Box, ticks: Float64Array): SampleTimes | null {
  const list = child(moov, child(moov, track, 'edts'), 'elst');
  const unedited = { ticks, startsLate: earliest(ticks) > 0 };
  if (list === undefined) return unedited;
  const isLong = moov[list.start] === 1;
  const starts = [...entries(moov, list, isLong ? 20 : 12)].map(({ at, entry }) => {
    return isLong ? Number(entry.readBigInt64BE(at + 8)) : entry.readInt32BE(at + 4);
  });
  const media = starts.filter((start) => start >= 0);
  if (starts.length > MAX_EDITS || media.length !== 1) return starts.length === 0 ? unedited : null;
  const kept = ticks.filter((tick) => tick >= media[0]!);
  return { ticks: kept, startsLate: starts.length > 1 || earliest(kept) > media[0]! };
}

/** The smallest of any number of ticks; infinity of none. */
export function earliest(ticks: Iterable<number>): number {
  let first = Infinity;
  for (const tick of ticks) first = Math.min(first, tick);
  return first;
}

function* entries(moov: Buffer, box: Box, size: number): Generator<{ readonly at: number; readonly entry: Buffer }> {
  if (box.start + 8 > box.end) return;
  const count = Math.min(moov.readUInt32BE(box.start + 4), Math.floor((box.end - box.start - 8) / size));
  for (let entry = 0; entry < count; entry++) yield { at: box.start + 8 + size * entry, entry: moov };
}

/** What a fragment's samples have where it does not say otherwise. */
export interface FragmentDefaults {
  readonly track: number;
  readonly duration: number;
}

/** The defaults of a fragmented track, from `moov`; null where the file is not fragmented. */
export function fragmentDefaults(moov: Buffer, track: Box): FragmentDefaults | null {
  const root = { type: 'moov', start: 0, end: moov.length };
  const extension = child(moov, root, 'mvex');
  const header = child(moov, track, 'tkhd');
  if (extension === undefined || header === undefined) return null;
  const at = header.start + (moov[header.start] === 1 ? 20 : 12);
  if (at + 4 > header.end) return null;
  const id = moov.readUInt32BE(at);
  const own = children(moov, extension, 'trex').find(({ start, end }) => start + 24 <= end && moov.readUInt32BE(start + 4) === id);
  return { track: id, duration: own === undefined ? 0 : moov.readUInt32BE(own.start + 12) };
}

/**
 * Appends the presentation times, in ticks, of one fragment's samples of a track.
 *
 * @param moof content of a `moof` box
 * @param next decoding time of the first sample where the fragment does not say it
 * @returns the decoding time after its last sample
 */
export function fragmentTimes(moof: Buffer, { track, duration: fallback }: FragmentDefaults, next: number, ticks: number[]): number {
  let decode = next;
  for (const fragment of children(moof, { type: 'moof', start: 0, end: moof.length }, 'traf')) {
    const header = child(moof, fragment, 'tfhd');
    if (header === undefined || header.start + 8 > header.end || moof.readUInt32BE(header.start + 4) !== track) continue;
    const flags = moof.readUInt32BE(header.start) & 0xffffff;
    let at = header.start + 8 + (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0);
    const duration = flags & 8 && at + 4 <= header.end ? moof.readUInt32BE(at) : fallback;
    const base = child(moof, fragment, 'tfdt');
    if (base !== undefined && base.start + 8 <= base.end) {
      const isLong = moof[base.start] === 1 && base.start + 12 <= base.end;
      decode = isLong ? Number(moof.readBigUInt64BE(base.start + 4)) : moof.readUInt32BE(base.start + 4);
    }
    for (const run of children(moof, fragment, 'trun')) {
      if (run.start + 8 > run.end) continue;
      const runFlags = moof.readUInt32BE(run.start) & 0xffffff;
      const isSigned = moof[run.start] !== 0;
      const fields = [0x100, 0x200, 0x400, 0x800].filter((bit) => runFlags & bit);
      at = run.start + 8 + (runFlags & 1 ? 4 : 0) + (runFlags & 4 ? 4 : 0);
      const count = moof.readUInt32BE(run.start + 4);
      // A run without any field of its own has no bytes that bound its count.
      if (count > MAX_TIMED_FRAMES - ticks.length || (fields.length > 0 && at + count * 4 * fields.length > run.end)) return NaN;
      for (let sample = 0; sample < count; sample++, at += 4 * fields.length) {
        const own = (bit: number): number | null => (fields.includes(bit) ? at + 4 * fields.indexOf(bit) : null);
        const [length, offset] = [own(0x100), own(0x800)];
        const shift = offset === null ? 0 : isSigned ? moof.readInt32BE(offset) : moof.readUInt32BE(offset);
        ticks.push(decode + shift);
        decode += length === null ? duration : moof.readUInt32BE(length);
      }
    }
  }
  return decode;
}

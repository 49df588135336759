/** What a file says of one packet of video, in the order of the file. */
export interface PacketTimes {
  /** When its frame is shown, in ticks. */
  readonly pts: number;
  /** When it is decoded, in ticks. */
  readonly dts: number;
  readonly isKey: boolean;
  /** False for those that an edit list leaves out: decoded, for others that need them, and never shown. */
  readonly isShown: boolean;
}

/** Which packets make a part of a video. */
export interface CutPlan {
  /** By number of the packet: when it is decoded, in ticks of the source. Those that are not there are left out. */
  readonly dtsOf: ReadonlyMap<number, number>;
  /** When the first frame is shown in the source, in ticks: taken off all times. */
  readonly begin: number;
  /** One past the last packet. */
  readonly last: number;
  /** Frames shown before the first that was asked for. */
  readonly lead: number;
  readonly frames: number;
}

/**
 * Finds the packets without which some frames cannot be shown: from the last key frame with which decoding can begin, to the first
 * packet after which everything is shown later than all before it.
 *
 * @param first in the order in which frames are shown
 * @param end one past the last
 * @returns null where there is no key frame to begin with
 */
export function planCut(packets: readonly PacketTimes[], first: number, end: number): CutPlan | null {
  const shown = packets.flatMap(({ pts, isShown }) => (isShown ? [pts] : [])).sort((a, b) => a - b);
  const [from, to] = [shown[first], shown[end - 1]];
  if (from === undefined || to === undefined || end <= first) return null;
  const start = startOf(packets, from);
  if (start === null) return null;
  const last = endOf(packets, start, to);
  const begin = packets[start]!.pts;
  const dtsOf = new Map<number, number>([[start, packets[start]!.dts]]);
  let isLeading = true;
  for (let number = start + 1; number < last; number++) {
    const { pts, dts } = packets[number]!;
    // Of an open group: shown before its key frame, and decoded with the help of the group before, which is not there.
    if (pts < begin) {
      // The key frame takes the time of those that it is decoded before, so that frames go on following each other regularly.
      if (isLeading) dtsOf.set(start, dts);
      continue;
    }
    isLeading = false;
    dtsOf.set(number, dts);
  }
  const lead = [...dtsOf.keys()].filter((number) => packets[number]!.pts < from).length;
  return { dtsOf, begin, last, lead, frames: dtsOf.size };
}

/** The last key frame at or before a time, no later frame than which comes before it in the file. */
function startOf(packets: readonly PacketTimes[], from: number): number | null {
  let start: number | null = null;
  for (const [number, { pts, isKey }] of packets.entries()) {
    if (isKey && pts <= from) start = number;
    if (pts >= from) return start;
  }
  return start;
}

/** One past the last packet that frames up to a time need, all of which are shown before all others. */
function endOf(packets: readonly PacketTimes[], start: number, to: number): number {
  // Latest first: from each packet on, the earliest time at which one is shown.
  const earliest = new Float64Array(packets.length + 1).fill(Infinity);
  for (let number = packets.length - 1; number >= 0; number--) earliest[number] = Math.min(earliest[number + 1]!, packets[number]!.pts);
  let latest = to;
  let end = start + 1;
  while (end < packets.length && earliest[end]! <= latest) latest = Math.max(latest, packets[end++]!.pts);
  return end;
}

/** Byte ranges `[begin, end)`, disjoint and sorted; touching ones are merged, so what is written in order stays one. */
export type ByteRanges = [begin: number, end: number][];

/** Adds a range; `false`, changing nothing, when it overlaps one that is there. */
export function claimRange(ranges: ByteRanges, begin: number, end: number): boolean {
  if (begin === end) return true;
  let position = ranges.length;
  while (position > 0 && ranges[position - 1]![0] >= end) position--;
  const before = ranges[position - 1];
  const after = ranges[position];
  if (before !== undefined && before[1] > begin) return false;
  const joinsBefore = before?.[1] === begin;
  const joinsAfter = after?.[0] === end;
  if (joinsBefore && joinsAfter) {
    before[1] = after[1];
    ranges.splice(position, 1);
  } else if (joinsBefore) before[1] = end;
  else if (joinsAfter) after[0] = begin;
  else ranges.splice(position, 0, [begin, end]);
  return true;
}

/** Whether the ranges cover `[0, byteLength)` without a hole. */
export function coversAll(ranges: ByteRanges, byteLength: number): boolean {
  return byteLength === 0 || (ranges.length === 1 && ranges[0]![0] === 0 && ranges[0]![1] === byteLength);
}

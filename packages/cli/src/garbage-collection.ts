import { setFlagsFromString } from 'node:v8';

/** Parameters up to this size pass through in seconds, many times over; of larger ones memory is worth more than time. */
const MAX_BYTES = 64e6;
/** Whose flag it is; other versions would complain of it, or do so by themselves. */
const V8 = /^13\.6\./;

/**
 * Has memory outside of the heap count as the heap does, for models whose parameters are small.
 *
 * V8 begins to collect the whole heap whenever 64 MB of array buffers have been made, however small its garbage is. Short rounds of a small
 * model make as much in a second or two, and a fifth of their time went into it. Where the flag holds, a collection begins when heap and
 * buffers together have grown by their usual share.
 *
 * @param parameterBytes of one copy of the parameters
 * @returns whether anything was changed
 */
export function relaxGarbageCollection(parameterBytes: number, version = process.versions.v8): boolean {
  if (parameterBytes > MAX_BYTES || !V8.test(version)) return false;
  setFlagsFromString('--external-memory-accounted-in-global-limit');
  return true;
}

/** What an AV1 sequence header (section 5.5 of the specification) says of the pictures that follow it. */
export interface Av1Sequence {
  readonly maxWidth: number;
  readonly maxHeight: number;
  readonly bitDepth: number;
  /** Chroma has half the columns and half the rows: 4:2:0. */
  readonly is420: boolean;
}

const SEQUENCE_HEADER = 1;

/** Finds and reads the sequence header of a key frame's data; null when there is none. */
export function readAv1Sequence(data: Uint8Array): Av1Sequence | null {
  for (let at = 0; at < data.length; ) {
    const header = data[at++]!;
    const type = (header >> 3) & 15;
    if ((header & 4) !== 0) at++;
    let size = data.length - at;
    if ((header & 2) !== 0) {
      size = 0;
      for (let shift = 0; shift < 28 && at < data.length; shift += 7) {
        const byte = data[at++]!;
        size += (byte & 127) << shift;
        if (byte < 128) break;
      }
    }
    if (type === SEQUENCE_HEADER) return sequenceHeader(new Bits(data.subarray(at, at + size)));
    at += size;
  }
  return null;
}

/** Reads bits, the highest of each byte first; past the end there are zeros. */
class Bits {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  read(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++, this.#at++) value = value * 2 + (((this.#data[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1);
    return value;
  }

  flag(): boolean {
    return this.read(1) === 1;
  }

  /** `uvlc()` */
  skipVariable(): void {
    let zeros = 0;
    while (zeros < 32 && !this.flag()) zeros++;
    this.read(zeros);
  }
}

function sequenceHeader(bits: Bits): Av1Sequence {
  const profile = bits.read(3);
  bits.read(1);
  const isReduced = bits.flag();
  if (isReduced) bits.read(5);
  else skipOperatingPoints(bits);
  const widthBits = bits.read(4) + 1;
  const heightBits = bits.read(4) + 1;
  const maxWidth = bits.read(widthBits) + 1;
  const maxHeight = bits.read(heightBits) + 1;
  if (!isReduced && bits.flag()) bits.read(7);
  bits.read(3);
  if (!isReduced) skipTools(bits);
  bits.read(3);
  return { maxWidth, maxHeight, ...colorConfig(bits, profile) };
}

function skipOperatingPoints(bits: Bits): void {
  let delayBits = 0;
  if (bits.flag()) {
    bits.read(64);
    if (bits.flag()) bits.skipVariable();
    if (bits.flag()) {
      delayBits = bits.read(5) + 1;
      bits.read(42);
    }
  }
  const hasDisplayDelay = bits.flag();
  const points = bits.read(5) + 1;
  for (let point = 0; point < points; point++) {
    bits.read(12);
    if (bits.read(5) > 7) bits.read(1);
    if (delayBits > 0 && bits.flag()) bits.read(2 * delayBits + 1);
    if (hasDisplayDelay && bits.flag()) bits.read(4);
  }
}

function skipTools(bits: Bits): void {
  bits.read(4);
  const hasOrderHint = bits.flag();
  if (hasOrderHint) bits.read(2);
  const screenContent = bits.flag() ? 2 : bits.read(1);
  if (screenContent > 0 && !bits.flag()) bits.read(1);
  if (hasOrderHint) bits.read(3);
}

function colorConfig(bits: Bits, profile: number): Omit<Av1Sequence, 'maxWidth' | 'maxHeight'> {
  const isHigh = bits.flag();
  const bitDepth = !isHigh ? 8 : profile === 2 && bits.flag() ? 12 : 10;
  const isMonochrome = profile !== 1 && bits.flag();
  return { bitDepth, is420: !isMonochrome && profile === 0 };
}

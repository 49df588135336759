/**
 * Decompresses one LZ4 block (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md), as parquet's codec `LZ4_RAW` stores it.
 *
 * @param outputLength bytes that it must give, no more and no less
 * @throws Error when the block is damaged
 */
export function decompressLz4Block(input: Uint8Array, outputLength: number): Uint8Array {
  const output = new Uint8Array(outputLength);
  let read = 0;
  let written = 0;
  const longLength = (nibble: number): number => {
    let length = nibble;
    if (nibble < 15) return length;
    for (;;) {
      const byte = input[read++];
      if (byte === undefined) throw new Error('an LZ4 block is cut off');
      length += byte;
      if (byte < 255) return length;
    }
  };
  while (read < input.length) {
    const token = input[read++]!;
    const literals = longLength(token >> 4);
    if (read + literals > input.length || written + literals > outputLength) throw new Error('an LZ4 block is damaged');
    output.set(input.subarray(read, read + literals), written);
    read += literals;
    written += literals;
    // The last sequence has no match.
    if (read === input.length) break;
    if (read + 2 > input.length) throw new Error('an LZ4 block is cut off');
    const offset = input[read]! | (input[read + 1]! << 8);
    read += 2;
    const match = longLength(token & 15) + 4;
    if (offset === 0 || offset > written || written + match > outputLength) throw new Error('an LZ4 block is damaged');
    // A match may reach into what it writes: byte by byte.
    for (let i = 0; i < match; i++, written++) output[written] = output[written - offset]!;
  }
  if (written !== outputLength) throw new Error(`an LZ4 block gives ${written} bytes, not ${outputLength}`);
  return output;
}

/**
 * Decompresses a page of parquet's old codec `LZ4`: blocks behind big-endian lengths as Hadoop frames them, or one bare block, as
 * parquet-cpp wrote it for a while.
 *
 * @throws Error when the page is damaged
 */
export function decompressLz4Hadoop(input: Uint8Array, outputLength: number): Uint8Array {
  return hadoopBlocks(input, outputLength) ?? decompressLz4Block(input, outputLength);
}

/** Null where the page is not framed so. */
function hadoopBlocks(input: Uint8Array, outputLength: number): Uint8Array | null {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const frames: { readonly start: number; readonly end: number; readonly bytes: number }[] = [];
  let bytes = 0;
  for (let at = 0; at < input.length; ) {
    if (at + 8 > input.length) return null;
    const frame = { start: at + 8, end: at + 8 + view.getUint32(at + 4), bytes: view.getUint32(at) };
    bytes += frame.bytes;
    if (frame.end > input.length || bytes > outputLength) return null;
    frames.push(frame);
    at = frame.end;
  }
  if (bytes !== outputLength) return null;
  const output = new Uint8Array(outputLength);
  let written = 0;
  for (const frame of frames) {
    output.set(decompressLz4Block(input.subarray(frame.start, frame.end), frame.bytes), written);
    written += frame.bytes;
  }
  return output;
}

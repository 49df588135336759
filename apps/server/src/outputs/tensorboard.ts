import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Writes TensorBoard event files: TFRecord framing (length, masked CRC-32C of it, payload, masked CRC-32C of that) around
 * `Event` protobuf messages with scalar summaries. Format: tensorflow/core/lib/io/record_writer.h and
 * tensorflow/core/util/event.proto. A record is one append, so a crash tears at most the last one, which readers skip.
 */
export class TensorBoardWriter {
  readonly path: string;
  private readonly descriptor: number;
  private readonly now: () => number;

  /**
   * Starts a new file in `directory`; TensorBoard reads all files of a folder as one run.
   *
   * @param now wall time in milliseconds, for tests
   */
  constructor(directory: string, now: () => number = Date.now) {
    mkdirSync(directory, { recursive: true });
    // The usual name holds the machine's name; checkpoints and logs are published, so ours does not.
    this.path = join(directory, `events.out.tfevents.${String(Math.floor(now() / 1000)).padStart(10, '0')}.zk0.${process.pid}`);
    this.now = now;
    this.descriptor = openSync(this.path, 'a');
    this.write(bytesField(3, Buffer.from('brain.Event:2')), 0);
  }

  /** Adds one value per tag at `step`, a whole number from 0. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const summary = Object.entries(values).map(([tag, value]) =>
      bytesField(1, Buffer.concat([bytesField(1, Buffer.from(tag)), floatField(2, value)])),
    );
    if (summary.length > 0) this.write(bytesField(5, Buffer.concat(summary)), step);
  }

  close(): void {
    closeSync(this.descriptor);
  }

  private write(content: Buffer, step: number): void {
    const event = Buffer.concat([doubleField(1, this.now() / 1000), varintField(2, step), content]);
    writeSync(this.descriptor, frame(event));
  }
}

function frame(payload: Buffer): Buffer {
  const header = Buffer.alloc(12);
  header.writeBigUInt64LE(BigInt(payload.length));
  header.writeUInt32LE(maskedCrc(header.subarray(0, 8)), 8);
  const footer = Buffer.alloc(4);
  footer.writeUInt32LE(maskedCrc(payload));
  return Buffer.concat([header, payload, footer]);
}

/** A checksum stored beside what it covers is rotated and shifted, so that nested records do not look valid. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), RFC 3720 appendix B.4. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0x82f63b78 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

function bytesField(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
}

function doubleField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (field << 3) | 1;
  bytes.writeDoubleLE(value, 1);
  return bytes;
}

function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = (field << 3) | 5;
  bytes.writeFloatLE(value, 1);
  return bytes;
}

import { CudaError } from '../errors.ts';

/** Reads `length` bytes of a file from `offset` on; fewer only at its end. */
export type ReadBytes = (offset: number, length: number) => Uint8Array;

/** What the loader has to know about a shared library. */
export interface SharedLibrary {
  readonly soname: string | undefined;
  /** Names of the libraries that it needs, in its own order (`DT_NEEDED`). */
  readonly needed: readonly string[];
  /** Folders in which it wants them looked for (`DT_RUNPATH`, else `DT_RPATH`); `$ORIGIN` is its own folder. */
  readonly runpath: readonly string[];
}

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
/** Bounds on what is read; onnxruntime's and NVIDIA's libraries have about 12 segments, 40 entries and 2 MB of names. */
const MAX_PROGRAM_HEADERS = 256;
const MAX_DYNAMIC_ENTRIES = 4096;
const MAX_NAMES = 512;
const MAX_NAME_BYTES = 4096;

const ELF = { class64: 2, littleEndian: 1, sharedObject: 3, x64: 62 } as const;
const SEGMENT = { load: 1, dynamic: 2 } as const;
const TAG = { end: 0, needed: 1, strings: 5, stringsSize: 10, soname: 14, rpath: 15, runpath: 29 } as const;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/**
 * Reads the dynamic section of a 64-bit little-endian shared library for x86-64 (System V ABI, "Object Files" and "Dynamic Linking").
 * The file is hostile: every place and number in it is checked against its size before it is used, and reads are bounded.
 *
 * @param name the file, for errors.
 * @param size of the whole file in bytes.
 * @throws CudaError `CUDA_LIBRARY_INVALID` for what is no such library, for another processor, or shorter than it says.
 */
export function parseSharedLibrary(name: string, size: number, read: ReadBytes): SharedLibrary {
  const file = new ElfFile(name, size, read);
  const header = file.view(0, HEADER_BYTES);
  if (header.getUint32(0) !== 0x7f454c46) throw invalid(name, 'is not a shared library');
  if (header.getUint8(4) !== ELF.class64 || header.getUint8(5) !== ELF.littleEndian || header.getUint16(18, true) !== ELF.x64) {
    throw invalid(name, 'is a library for another processor than x86-64');
  }
  if (header.getUint16(16, true) !== ELF.sharedObject) throw invalid(name, 'is not a shared library');
  const segments = programHeaders(file, header);
  requireWhole(file, header, segments);
  const dynamic = segments.find(({ type }) => type === SEGMENT.dynamic);
  if (dynamic === undefined) throw invalid(name, 'has no dynamic section');
  return dynamicSection(file, dynamic, segments);
}

function programHeaders(file: ElfFile, header: DataView): Segment[] {
  const [offset, width, count] = [file.number(header, 32), header.getUint16(54, true), header.getUint16(56, true)];
  if (width !== PROGRAM_HEADER_BYTES || count > MAX_PROGRAM_HEADERS) throw invalid(file.name, 'has a damaged header');
  const table = file.view(offset, width * count);
  return Array.from({ length: count }, (_, i) => {
    const at = i * width;
    return {
      type: table.getUint32(at, true),
      offset: file.number(table, at + 8),
      address: file.number(table, at + 16),
      size: file.number(table, at + 32),
    };
  });
}

/** Checks that the file is as long as its segments and its table of sections, which linkers write last, say. */
function requireWhole(file: ElfFile, header: DataView, segments: readonly Segment[]): void {
  const [sections, width, count] = [file.number(header, 40), header.getUint16(58, true), header.getUint16(60, true)];
  if (count > 0 && width !== SECTION_HEADER_BYTES) throw invalid(file.name, 'has a damaged header');
  const end = Math.max(sections + width * count, ...segments.filter(({ type }) => type === SEGMENT.load).map(({ offset, size }) => offset + size));
  if (end > file.size) throw cutOff(file, end);
}

function dynamicSection(file: ElfFile, dynamic: Segment, segments: readonly Segment[]): SharedLibrary {
  const entries = file.view(dynamic.offset, Math.min(dynamic.size - (dynamic.size % 16), MAX_DYNAMIC_ENTRIES * 16));
  const values = new Map<number, number[]>();
  for (let at = 0; at + 16 <= entries.byteLength; at += 16) {
    const tag = file.number(entries, at);
    if (tag === TAG.end) break;
    if (!(Object.values(TAG) as number[]).includes(tag)) continue;
    values.set(tag, [...(values.get(tag) ?? []), file.number(entries, at + 8)]);
  }
  const needed = values.get(TAG.needed) ?? [];
  if (needed.length > MAX_NAMES) throw invalid(file.name, `needs ${needed.length} libraries`);
  const [address, size] = [values.get(TAG.strings)?.[0], values.get(TAG.stringsSize)?.[0]];
  const holder = segments.find((segment) => address !== undefined && segment.type === SEGMENT.load && address >= segment.address && address < segment.address + segment.size);
  if (address === undefined || size === undefined || holder === undefined) throw invalid(file.name, 'has no table of names');
  const names = { offset: holder.offset + address - holder.address, size };
  const nameAt = (place: number): string => file.text(names.offset + place, names.size - place);
  const soname = values.get(TAG.soname)?.[0];
  const paths = values.get(TAG.runpath)?.[0] ?? values.get(TAG.rpath)?.[0];
  return {
    soname: soname === undefined ? undefined : nameAt(soname),
    needed: needed.map(nameAt),
    runpath: paths === undefined ? [] : nameAt(paths).split(':').filter((path) => path !== ''),
  };
}

/** A file whose every read is checked against its size. */
class ElfFile {
  readonly name: string;
  readonly size: number;
  readonly #read: ReadBytes;

  constructor(name: string, size: number, read: ReadBytes) {
    this.name = name;
    this.size = size;
    this.#read = read;
  }

  view(offset: number, length: number): DataView {
    if (offset + length > this.size) throw cutOff(this, offset + length);
    const bytes = this.#read(offset, length);
    if (bytes.length < length) throw cutOff(this, offset + length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  /** A 64-bit number; no place in a real file is above 2⁵³. */
  number(view: DataView, at: number): number {
    const value = view.getBigUint64(at, true);
    // Tags of the operating system lie above 2³¹ and are of no interest here, so what is too large stays comparable.
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
  }

  /** Text up to its NUL, of at most `room` bytes. */
  text(offset: number, room: number): string {
    if (room <= 0 || offset >= this.size) throw invalid(this.name, 'names a library outside its table of names');
    const length = Math.min(room, MAX_NAME_BYTES, this.size - offset);
    const view = this.view(offset, length);
    const bytes = new Uint8Array(view.buffer, view.byteOffset, length);
    const end = bytes.indexOf(0);
    if (end < 0) throw invalid(this.name, 'has a name without an end');
    return new TextDecoder().decode(bytes.subarray(0, end));
  }
}

function cutOff({ name, size }: { readonly name: string; readonly size: number }, end: number): CudaError {
  return invalid(name, `is cut off: it has ${size} bytes and should have at least ${end}`);
}

function invalid(name: string, what: string): CudaError {
  return new CudaError('CUDA_LIBRARY_INVALID', `${name} ${what}`, { hint: 'Install the package that it comes from again.' });
}

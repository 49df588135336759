/** For tests: writes a small x86-64 shared library without code, which a loader accepts. */
export interface FakeLibrary {
  readonly soname?: string;
  readonly needed?: readonly string[];
  readonly runpath?: string;
  /** Stands in the file as a text of its own. */
  readonly text?: string;
  /** A symbol that it takes from another library. */
  readonly symbol?: string;
  /** The processor; 62 is x86-64. */
  readonly machine?: number;
}

const [HEADER, SEGMENT, ENTRY, SYMBOL, RELOCATION] = [64, 56, 16, 24, 24];

export function fakeLibrary({ soname, needed = [], runpath, text = '', symbol, machine = 62 }: FakeLibrary): Buffer {
  const names = [soname, runpath, symbol, ...needed].filter((name) => name !== undefined);
  const table = Buffer.from(`\0${[...names, text].join('\0')}\0`);
  const placeOf = (name: string): number => table.indexOf(`\0${name}\0`) + 1;
  const entries = [
    ...needed.map((name) => [1, placeOf(name)]),
    ...(soname === undefined ? [] : [[14, placeOf(soname)]]),
    ...(runpath === undefined ? [] : [[29, placeOf(runpath)]]),
  ];
  const dynamicAt = HEADER + 2 * SEGMENT;
  const symbols = symbol === undefined ? [] : [symbol];
  const symbolsAt = dynamicAt + (entries.length + 5 + 3 * symbols.length) * ENTRY;
  const relocationsAt = symbolsAt + (1 + symbols.length) * SYMBOL;
  // Where the loader writes the symbol's address.
  const targetAt = relocationsAt + symbols.length * RELOCATION;
  const namesAt = targetAt + 8;
  entries.push(...(symbols.length === 0 ? [] : [[7, relocationsAt], [8, RELOCATION], [9, RELOCATION]]), [5, namesAt], [10, table.length], [6, symbolsAt], [11, SYMBOL], [0, 0]);
  const file = Buffer.alloc(namesAt + table.length);
  const words = (at: number, values: readonly number[]): void => {
    values.forEach((value, i) => file.writeBigUInt64LE(BigInt(value), at + 8 * i));
  };
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(file);
  file.writeUInt16LE(3, 16);
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(1, 20);
  words(32, [HEADER]);
  [HEADER, SEGMENT, 2, 64, 0, 0].forEach((value, i) => file.writeUInt16LE(value, 52 + 2 * i));
  const size = file.length;
  // Readable and writable: the loader writes into the dynamic section.
  segment(HEADER, 1, 0, size, 0x1000);
  segment(HEADER + SEGMENT, 2, dynamicAt, entries.length * ENTRY, 8);
  entries.forEach((entry, i) => {
    words(dynamicAt + i * ENTRY, entry);
  });
  symbols.forEach((name) => {
    file.writeUInt32LE(placeOf(name), symbolsAt + SYMBOL);
    // Global, of no type, defined elsewhere.
    file.writeUInt8(0x10, symbolsAt + SYMBOL + 4);
    // R_X86_64_64 of symbol 1.
    words(relocationsAt, [targetAt, 2 ** 32 + 1, 0]);
  });
  table.copy(file, namesAt);
  return file;

  function segment(at: number, type: number, offset: number, bytes: number, align: number): void {
    file.writeUInt32LE(type, at);
    file.writeUInt32LE(6, at + 4);
    words(at + 8, [offset, offset, offset, bytes, bytes, align]);
  }
}

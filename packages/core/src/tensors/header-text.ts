/** Most fields of `__metadata__`; real files have a handful. */
const MAX_METADATA = 10_000;
const MAX_METADATA_KEY = 65_536;
const LONGEST_VALUE = 1 << 24;
/** Longest names of fields and types are `data_offsets` and those of types to come. */
const LONGEST_WORD = 64;

/** The characters of a header; a string is one. */
export interface HeaderCharacters {
  readonly length: number;
  charCodeAt(index: number): number;
  slice(start: number, end: number): string;
}

/** A tensor as the header claims it; nothing is checked against the file yet. */
export interface ClaimedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offsets: readonly number[];
}

/** Bounds that are kept while a header is read, not afterwards. */
export interface HeaderBounds {
  readonly maxTensors: number;
  readonly maxRank: number;
  readonly maxNameLength: number;
}

/** What a header says. */
export interface HeaderText {
  readonly tensors: readonly ClaimedTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads the JSON of a safetensors header: an object of tensors, each with `dtype`, `shape` and `data_offsets` and nothing else, and an
 * optional map of strings, `__metadata__`. One pass from the start to wherever it ends or the first thing that is not allowed, which a
 * key that comes twice is too (`JSON.parse` keeps the last, so that two readers of one file could see different tensors). Nothing is
 * built that the bounds do not allow.
 *
 * @throws Error saying what was found where.
 */
export function readHeaderText(text: HeaderCharacters, bounds: HeaderBounds): HeaderText {
  return new HeaderReader(text, bounds).read();
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];

class HeaderReader {
  readonly #text: HeaderCharacters;
  readonly #bounds: HeaderBounds;
  #at = 0;

  constructor(text: HeaderCharacters, bounds: HeaderBounds) {
    this.#text = text;
    this.#bounds = bounds;
  }

  read(): HeaderText {
    const tensors: ClaimedTensor[] = [];
    const names = new Set<string>();
    let metadata: Readonly<Record<string, string>> = {};
    this.#object('the header', this.#bounds.maxNameLength, (name) => {
      if (names.has(name)) throw twice('the header', name);
      names.add(name);
      if (name === '__metadata__') {
        metadata = this.#metadata();
        return;
      }
      if (tensors.length >= this.#bounds.maxTensors) throw new Error(`it names more than ${this.#bounds.maxTensors} tensors`);
      tensors.push(this.#tensor(name));
    });
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#unexpected('the end');
    return { tensors, metadata };
  }

  #metadata(): Readonly<Record<string, string>> {
    const entries = new Map<string, string>();
    this.#object('__metadata__', MAX_METADATA_KEY, (key) => {
      if (entries.has(key)) throw twice('__metadata__', key);
      if (entries.size >= MAX_METADATA) throw new Error(`__metadata__ has more than ${MAX_METADATA} fields`);
      entries.set(key, this.#string(LONGEST_VALUE));
    });
    return Object.fromEntries(entries);
  }

  #tensor(name: string): ClaimedTensor {
    let dtype: string | undefined;
    let shape: readonly number[] | undefined;
    let offsets: readonly number[] | undefined;
    this.#object(`tensor ${name}`, LONGEST_WORD, (key) => {
      switch (key) {
        case 'dtype':
          if (dtype !== undefined) throw twice(`tensor ${name}`, key);
          dtype = this.#string(LONGEST_WORD);
          return;
        case 'shape':
          if (shape !== undefined) throw twice(`tensor ${name}`, key);
          shape = this.#sizes(`the shape of tensor ${name}`, this.#bounds.maxRank);
          return;
        case 'data_offsets':
          if (offsets !== undefined) throw twice(`tensor ${name}`, key);
          offsets = this.#sizes(`data_offsets of tensor ${name}`, 2);
          return;
        default:
          throw new Error(`tensor ${name} has an unknown field ${JSON.stringify(key)}`);
      }
    });
    if (dtype === undefined || shape === undefined || offsets?.length !== 2) {
      throw new Error(`tensor ${name} lacks its dtype, its shape or two data_offsets`);
    }
    return { name, dtype, shape, offsets };
  }

  /** An object, whose values `onKey` reads; it also sees to keys that come twice. */
  #object(what: string, longestKey: number, onKey: (key: string) => void): void {
    this.#expect(OPEN_BRACE, `{ of ${what}`);
    if (this.#take(CLOSE_BRACE)) return;
    do {
      const key = this.#string(longestKey);
      this.#expect(COLON, ':');
      onKey(key);
    } while (this.#take(COMMA));
    this.#expect(CLOSE_BRACE, `} of ${what}`);
  }

  /** An array of whole numbers from 0 on. */
  #sizes(what: string, most: number): readonly number[] {
    this.#expect(OPEN_BRACKET, `[ of ${what}`);
    const sizes: number[] = [];
    if (this.#take(CLOSE_BRACKET)) return sizes;
    do {
      if (sizes.length >= most) throw new Error(`${what} has more than ${most} numbers`);
      sizes.push(this.#size(what));
    } while (this.#take(COMMA));
    this.#expect(CLOSE_BRACKET, `] of ${what}`);
    return sizes;
  }

  #size(what: string): number {
    this.#skipSpace();
    const start = this.#at;
    let value = 0;
    for (;;) {
      const digit = this.#text.charCodeAt(this.#at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
      this.#at++;
      if (value > Number.MAX_SAFE_INTEGER) throw new Error(`${what} has a number that is too large`);
    }
    const digits = this.#at - start;
    if (digits === 0) throw this.#unexpected(`a whole number in ${what}`);
    if (digits > 1 && this.#text.charCodeAt(start) === 0x30) throw new Error(`${what} has a number that begins with 0`);
    return value;
  }

  #string(longest: number): string {
    this.#expect(QUOTE, 'a string');
    const start = this.#at;
    let isEscaped = false;
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === QUOTE) break;
      // Also past the end, where it is NaN.
      if (!(code >= 0x20)) throw this.#unexpected('the rest of a string');
      isEscaped ||= code === BACKSLASH;
      this.#at += code === BACKSLASH ? 2 : 1;
      if (this.#at - start > 6 * longest) throw new Error(`it has a name of more than ${longest} characters`);
    }
    const raw = this.#text.slice(start, this.#at++);
    const value = isEscaped ? (JSON.parse(`"${raw}"`) as string) : raw;
    if (value.length > longest) throw new Error(`it has a name of ${value.length} characters`);
    return value;
  }

  #expect(code: number, what: string): void {
    if (!this.#take(code)) throw this.#unexpected(what);
  }

  #take(code: number): boolean {
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #unexpected(wanted: string): Error {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text.slice(this.#at, this.#at + 1)) : 'the end';
    return new Error(`${wanted} was expected at character ${this.#at}, not ${found}`);
  }
}

function twice(what: string, key: string): Error {
  return new Error(`${what} has the key ${JSON.stringify(key)} twice`);
}

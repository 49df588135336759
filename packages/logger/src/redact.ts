import { Zk0Error } from '@zk0/core';

/** What stands where a secret stood. */
export const REDACTED = '[redacted]';

/** Longest string kept in a line; the rest is cut, so that a remote peer cannot fill the disk with one message. */
const MAX_STRING_CHARS = 4096;
/** Deepest nesting and most entries kept of a logged object. */
const MAX_DEPTH = 5;
const MAX_ENTRIES = 64;
/** Shorter values of secret variables are not searched for: they would blank ordinary words. */
const MIN_SECRET_CHARS = 6;

const SECRET_NAME =
  /(?:^|_)(?:token|secret|password|passwd|passphrase|api_?key|authorization|cookie|credentials?|jwt|(?:private|secret|access|signing|encryption)_key)$/;

const SECRET_TEXT: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN ([A-Z ]*)PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g, REDACTED],
  [/\bhf_[A-Za-z0-9]{8,}/g, REDACTED],
  [/\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi, `$1 ${REDACTED}`],
  [/(:\/\/[^\s/:@]+:)[^\s/@]+@/g, `$1${REDACTED}@`],
  [/\b((?:access_|hf_|auth_)?token|password|secret|api_?key)=[^\s&"']+/gi, `$1=${REDACTED}`],
  // The same in JSON that stands in a text, escaped or not.
  [/("[\w-]*(?:token|password|passphrase|secret|api_?key|private_?key|authorization)\\*"\s*:\s*\\*")[^"\\]+/gi, `$1${REDACTED}`],
];

/** Whether a field of this name holds a secret: `token`, `hfToken`, `WANDB_API_KEY`, `x-auth-token`; not `tokens`. */
export function isSecretName(name: string): boolean {
  const snake = name
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toLowerCase();
  return SECRET_NAME.test(snake);
}

/** Removes secrets from everything that goes into a log. */
export class Redactor {
  private readonly values: readonly string[];

  /**
   * @param secrets values that must never appear
   * @param environment variables whose names tell a secret (`HF_TOKEN`, `WANDB_API_KEY`) give further values
   */
  constructor(secrets: readonly string[], environment: Readonly<Record<string, string | undefined>>) {
    const named = Object.entries(environment).flatMap(([name, value]) =>
      value !== undefined && isSecretName(name) ? [value] : [],
    );
    // Longest first: a secret that contains another one is replaced whole.
    this.values = [...new Set([...secrets, ...named].flatMap(spellings))]
      .filter((value) => value.length >= MIN_SECRET_CHARS)
      .sort((a, b) => b.length - a.length);
  }

  /** `text` without known secrets and secret-looking parts, cut to a bounded length. */
  text(text: string): string {
    let clean = text;
    for (const value of this.values) clean = clean.replaceAll(value, REDACTED);
    for (const [pattern, replacement] of SECRET_TEXT) clean = clean.replace(pattern, replacement);
    // Cut last: a cut through a secret would leave its head unrecognised.
    if (clean.length <= MAX_STRING_CHARS) return clean;
    return `${clean.slice(0, MAX_STRING_CHARS)}… (+${clean.length - MAX_STRING_CHARS} chars)`;
  }

  /** A plain, bounded, JSON-safe copy of `value` without secrets. */
  value(value: unknown, depth = 0): unknown {
    if (typeof value === 'string') return this.text(value);
    if (typeof value === 'bigint') return value.toString();
    if (typeof value === 'symbol' || typeof value === 'function') return this.text(String(value));
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    if (value instanceof Error) return this.error(value, depth);
    if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${value.byteLength} bytes)`;
    if (depth >= MAX_DEPTH) return '…';
    if (Array.isArray(value)) {
      const kept = value.slice(0, MAX_ENTRIES).map((item) => this.value(item, depth + 1));
      return value.length > MAX_ENTRIES ? [...kept, `… (+${value.length - MAX_ENTRIES})`] : kept;
    }
    if (value instanceof URL) return this.text(value.href);
    if (value instanceof Map) return this.entries(value, depth);
    if (value instanceof Set) return this.value(first(value, value.size), depth);
    return this.fields(value, depth);
  }

  /** {@link Redactor.value} of each field; fields named like a secret are replaced unread. */
  fields(fields: object, depth = 0): Record<string, unknown> {
    const clean: Record<string, unknown> = {};
    const names = Object.keys(fields);
    for (const name of names.slice(0, MAX_ENTRIES)) {
      const secret = isSecretName(name);
      clean[this.text(name)] = secret ? REDACTED : this.value((fields as Record<string, unknown>)[name], depth + 1);
    }
    if (names.length > MAX_ENTRIES) clean['…'] = `+${names.length - MAX_ENTRIES}`;
    return clean;
  }

  /** A map as pairs; values under keys that are named like a secret are replaced unread. */
  private entries(map: ReadonlyMap<unknown, unknown>, depth: number): unknown {
    const pairs = first(map, map.size).map((pair) =>
      Array.isArray(pair) && typeof pair[0] === 'string' && isSecretName(pair[0]) ? [pair[0], REDACTED] : pair,
    );
    return this.value(pairs, depth);
  }

  private error(error: Error, depth: number): Record<string, unknown> {
    return {
      name: this.text(error.name),
      message: this.text(error.message),
      ...(error instanceof Zk0Error ? { code: this.text(error.code) } : {}),
      ...(error instanceof Zk0Error && error.hint !== undefined ? { hint: this.text(error.hint) } : {}),
      ...(error.stack === undefined ? {} : { stack: this.text(error.stack) }),
      ...(error.cause === undefined || depth >= MAX_DEPTH ? {} : { cause: this.value(error.cause, depth + 1) }),
    };
  }
}

/** As many items as are kept, and how many there are beyond. */
function first(items: Iterable<unknown>, size: number): unknown[] {
  const kept: unknown[] = [];
  for (const item of items) {
    if (kept.length === MAX_ENTRIES) return [...kept, `… (+${size - MAX_ENTRIES})`];
    kept.push(item);
  }
  return kept;
}

/** A secret as it may stand in a text: as it is, in JSON, in an address. */
function spellings(secret: string): string[] {
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret.replace(/\p{Cs}/gu, '\ufffd'))];
}

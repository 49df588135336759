import { open } from 'node:fs/promises';
import { isMap, isScalar, LineCounter, parse, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { describeIssue } from '@zk0/core';
import { ConfigError } from './errors.ts';
import { suggestion } from './nearest-name.ts';
import { dottedPaths, isKnownPath, keysAt } from './schema-keys.ts';

/** A configuration is a page or two; anything much larger is the wrong file. */
const MAX_CONFIG_BYTES = 1_000_000;
/** YAML aliases that expand one another can grow without bound. */
const MAX_ALIASES = 100;

/** Where a configuration comes from; later sources win over earlier ones. */
export interface ConfigSources {
  /** A YAML file (JSON is YAML, too). */
  readonly file?: string | undefined;
  /** Values of command line flags, nested like the schema; `undefined` ones are left out. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** `key=value` texts of `--set`; keys may be dotted, values are YAML. */
  readonly set?: readonly string[];
}

/**
 * Reads a configuration from all its sources and checks it.
 *
 * @param schema a strict object schema: its defaults fill in what no source says; `params.hint` of an issue of its own becomes the hint
 * @throws ConfigError naming the file and line, flag or `--set`, the key, and the nearest known one
 */
export async function loadConfig<S extends z.ZodObject>(schema: S, sources: ConfigSources): Promise<z.output<S>> {
  const origin = new Map<string, string>();
  const document = sources.file === undefined ? undefined : await readYaml(sources.file);
  const merged = (document?.toJS({ maxAliasCount: MAX_ALIASES }) as Record<string, unknown> | undefined) ?? {};
  mergeInto(merged, sources.flags ?? {}, (path) => origin.set(path, `--${flagOf(path)}`));
  for (const text of sources.set ?? []) {
    const { path, value } = parseOverride(text, schema);
    assign(merged, path, value);
    origin.set(path.join('.'), `--set ${path.join('.')}`);
  }

  const result = schema.safeParse(merged);
  if (result.success) return result.data;
  const complaints = result.error.issues.flatMap((issue) => explainIssue(issue, schema));
  const { path, text, name, hint } = complaints[0]!;
  const more = complaints.length > 1 ? ` (and ${complaints.length - 1} more)` : '';
  // A flag names the key already.
  const given = origin.get(path.map(String).join('.'));
  const said = given !== undefined && name !== undefined ? `${given} ${text}` : `${placeOf(path, origin, document)}: ${name === undefined ? '' : `${name} `}${text}`;
  throw new ConfigError('CONFIG_INVALID', `${said}${more}`, hint === undefined ? {} : { hint });
}

/** {@link loadConfig} from one file. */
export function loadConfigFile<S extends z.ZodObject>(path: string, schema: S): Promise<z.output<S>> {
  return loadConfig(schema, { file: path });
}

/** A parsed file, and how to find the line of a key in it. */
interface YamlFile {
  readonly path: string;
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
  toJS(options: { maxAliasCount: number }): unknown;
}

async function readYaml(path: string): Promise<YamlFile> {
  const text = await readBounded(path);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [error] = document.errors;
  if (error !== undefined) {
    const [first = ''] = error.message.split('\n');
    throw new ConfigError('CONFIG_SYNTAX', `${path} is not YAML: ${first.replace(/:$/, '')}`, { cause: error });
  }
  if (document.contents !== null && !isMap(document.contents)) {
    throw new ConfigError('CONFIG_SYNTAX', `${path} is not a map of keys to values`, {
      hint: 'Write one "key: value" a line',
    });
  }
  return {
    path,
    document,
    lines,
    toJS: (options) => {
      try {
        return document.toJS(options) as unknown;
      } catch (error) {
        throw new ConfigError('CONFIG_SYNTAX', `${path} cannot be expanded: ${String(error)}`, { cause: error });
      }
    },
  };
}

async function readBounded(path: string): Promise<string> {
  let handle;
  try {
    handle = await open(path);
    const { size } = await handle.stat();
    if (size > MAX_CONFIG_BYTES) {
      throw new ConfigError('CONFIG_UNREADABLE', `${path} has ${size} bytes, too many for a configuration file`, {
        hint: `At most ${MAX_CONFIG_BYTES} bytes are read; check that this is the file you mean`,
      });
    }
    return await handle.readFile('utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new ConfigError('CONFIG_UNREADABLE', `${path} ${missing ? 'does not exist' : 'cannot be read'}`, {
      cause: error,
      hint: 'Check the path',
    });
  } finally {
    await handle?.close();
  }
}

function parseOverride(text: string, schema: z.ZodObject): { path: string[]; value: unknown } {
  const split = text.indexOf('=');
  if (split < 1) {
    throw new ConfigError('CONFIG_INVALID', `--set ${text} is not of the form key=value`, {
      hint: 'Write, for example, --set rounds=5',
    });
  }
  const name = text.slice(0, split).trim();
  const path = name.split('.');
  if (!isKnownPath(schema, path)) {
    throw new ConfigError('CONFIG_INVALID', `--set ${name}: unknown key "${name}"`, { hint: suggestion(name, dottedPaths(schema)) });
  }
  try {
    return { path, value: parse(text.slice(split + 1), { maxAliasCount: 0 }) };
  } catch (error) {
    throw new ConfigError('CONFIG_INVALID', `--set ${name}: the value is not YAML`, {
      cause: error,
      hint: 'Quote it for your shell, for example --set \'name="a: b"\'',
    });
  }
}

function assign(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [head, ...rest] = path;
  if (rest.length === 0) {
    target[head!] = value;
    return;
  }
  if (!isRecord(target[head!])) target[head!] = {};
  assign(target[head!] as Record<string, unknown>, rest, value);
}

function mergeInto(
  target: Record<string, unknown>,
  source: Readonly<Record<string, unknown>>,
  note: (path: string) => void,
  prefix = '',
): void {
  for (const [key, value] of Object.entries(source)) {
    if (value === undefined) continue;
    if (isRecord(value)) {
      if (!isRecord(target[key])) target[key] = {};
      mergeInto(target[key] as Record<string, unknown>, value, note, `${prefix}${key}.`);
    } else {
      target[key] = value;
      note(prefix + key);
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Complaint {
  readonly path: readonly PropertyKey[];
  /** The key that `text` is about, where that is not in it. */
  readonly name?: string;
  readonly text: string;
  readonly hint?: string;
}

function explainIssue(issue: z.core.$ZodIssue, schema: z.ZodObject): Complaint[] {
  if (issue.code !== 'unrecognized_keys') {
    const key = issue.path.map(String).join('.');
    const hint: unknown = issue.code === 'custom' ? issue.params?.['hint'] : undefined;
    return [{ path: issue.path, name: key === '' ? 'the whole' : key, text: describeIssue(issue), ...(typeof hint === 'string' && { hint }) }];
  }
  const here = keysAt(schema, issue.path);
  return issue.keys.map((key) => ({
    path: [...issue.path, key],
    text: `unknown key "${[...issue.path, key].map(String).join('.')}"`,
    ...(here.kind === 'object' ? { hint: suggestion(key, here.keys) } : {}),
  }));
}

/** The flag, `--set` or `file:line` that gave the value at `path`, or the nearest place above it. */
function placeOf(path: readonly PropertyKey[], origin: ReadonlyMap<string, string>, file: YamlFile | undefined): string {
  for (let depth = path.length; depth > 0; depth--) {
    const given = origin.get(path.slice(0, depth).map(String).join('.'));
    if (given !== undefined) return given;
  }
  if (file === undefined) return 'configuration';
  const offset = offsetOf(file.document.contents, path);
  return offset === undefined ? file.path : `${file.path}:${file.lines.linePos(offset).line}`;
}

function offsetOf(node: unknown, path: readonly PropertyKey[]): number | undefined {
  const [head, ...rest] = path;
  if (head === undefined || !isMap(node)) return undefined;
  const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(head));
  if (pair === undefined) return undefined;
  return offsetOf(pair.value, rest) ?? (isScalar(pair.key) ? pair.key.range?.[0] : undefined);
}

/** The flag of a setting: groups of settings do not show in it (`server.port` is `--port`), nor does a group's own name (`strategy.name`). */
function flagOf(path: string): string {
  const keys = path.split('.');
  const key = keys.length > 1 && keys.at(-1) === 'name' ? keys.at(-2)! : keys.at(-1)!;
  return key.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase();
}

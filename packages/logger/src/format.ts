import type { LogLevel, LogRecord } from './record.ts';

const LEVEL_NAMES: Readonly<Record<LogLevel, string>> = {
  trace: 'TRACE',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
};

// Line breaks and terminal control (C0, DEL, C1), separators that some viewers break at, and invisible or
// direction-changing characters that make a line read differently from what it is.
// With the `u` flag \p{Cs} is a surrogate without its other half.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\p{Cs}]/gu;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** `text` with everything escaped that could break, forge or repaint a line. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    return SHORT[character] ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
}

function hex(code: number, width: number): string {
  return code.toString(16).padStart(width, '0');
}

/** Local time as `2025-09-20 16:23:45`. */
export function formatTime(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('-');
  return `${date} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/**
 * One text line, without its line break:
 * `2025-09-20 16:23:45 | INFO     | client_0 | PID:1234 | module:function:line - message | round=3 loss=0.41 ram=812MB`; of a line that
 * another machine sent, `2025-09-20 16:23:45 | INFO     | client_0 | remote - message | round=3`.
 */
export function formatText(record: LogRecord): string {
  const isOwn = record.pid !== undefined;
  const place = isOwn ? `${record.module}:${record.function}:${record.line}` : 'remote';
  const head = [formatTime(record.time), LEVEL_NAMES[record.level].padEnd(8), record.process, ...(isOwn ? [`PID:${record.pid}`] : [])];
  const fields = [
    ...Object.entries(record.fields).map(([name, value]) => `${name}=${formatValue(value)}`),
    ...(record.ramBytes === undefined ? [] : [`ram=${Math.round(record.ramBytes / 1e6)}MB`]),
  ];
  const tail = fields.length === 0 ? '' : ` | ${fields.join(' ')}`;
  return escapeText(`${head.join(' | ')} | ${place} - ${record.message}${tail}`);
}

/**
 * One line for people who watch a program work: `16:23:45 joined the federation`, warnings and errors marked as such. What a line was
 * written by, and its fields, are in the files.
 */
export function formatPlain(record: LogRecord): string {
  const mark = record.level === 'warn' ? 'warning: ' : record.level === 'error' ? 'error: ' : '';
  const round = record.fields['round'];
  const where = typeof round === 'number' && !record.message.includes(`round ${round}`) ? `round ${round}: ` : '';
  return escapeText(`${formatTime(record.time).slice(11)} ${mark}${where}${record.message}`);
}

/** One JSON line, without its line break. The caller's fields stand under `fields`, so they cannot replace the others. */
export function formatJson(record: LogRecord): string {
  return JSON.stringify({
    time: record.time.toISOString(),
    level: record.level,
    process: record.process,
    pid: record.pid,
    module: record.module,
    function: record.function,
    line: record.line,
    message: record.message,
    fields: record.fields,
    ram_bytes: record.ramBytes,
  });
}

function formatValue(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  if (isErrorLike(value)) return formatError(value);
  if (typeof value === 'string') return /^[^\s="|]+$/.test(value) ? value : JSON.stringify(value);
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

interface ErrorLike {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

function isErrorLike(value: unknown): value is ErrorLike {
  return typeof value === 'object' && value !== null && 'name' in value && 'message' in value;
}

/** Errors that the system raises on purpose carry a code, and their message says it all; others show where they arose. */
function formatError(error: ErrorLike): string {
  if (error.code !== undefined) return `${error.code} ${JSON.stringify(error.message)}`;
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s*at /.test(line));
  const trail = frames.slice(0, 8).map((line) => line.trim().replace(/^at /, '')).join(' < ');
  return `${error.name} ${JSON.stringify(error.message)}${trail === '' ? '' : ` [${trail}]`}`;
}

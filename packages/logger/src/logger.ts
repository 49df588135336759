import { errorMessage } from '@zk0/core';
import { Logger as Pipeline } from 'tslog';
import { callSite, type CallSite } from './caller.ts';
import { formatJson, formatPlain, formatText } from './format.ts';
import { LOG_LEVELS, type LogFields, type LogLevel, type LogRecord } from './record.ts';
import { Redactor } from './redact.ts';
import { RotatingFile } from './rotating-file.ts';

/** Where console lines go: a stream, or anything that writes text (a progress line that steps aside first). */
export interface ConsoleSink {
  write(text: string): unknown;
}

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  /** Name of this process in the run: `server`, `client_0`. */
  readonly process: string;
  /** Lightest level that is written. @default 'info' */
  readonly level?: LogLevel;
  /** `true` writes lines to stderr; a sink gets them instead. @default false */
  readonly console?: boolean | ConsoleSink;
  /** Lightest level on the console, where it differs from `level`. */
  readonly consoleLevel?: LogLevel;
  /** Lines for people on the console: the time and the message. Files keep the whole line. @default false */
  readonly plainConsole?: boolean;
  /** Files to append to; folders are made. Several processes may share one. */
  readonly files?: readonly string[];
  /** JSON lines instead of text, on the console and in files. @default false */
  readonly json?: boolean;
  /** Size at which a file is put aside and compressed. @default 500 MB */
  readonly rotateBytes?: number;
  /** Days for which files put aside are kept. @default 10 */
  readonly keepDays?: number;
  /** Further values that must never appear, besides those of variables named like `HF_TOKEN`, `WANDB_API_KEY`. */
  readonly secrets?: readonly string[];
  /** Sees every record that is written (redacted, not escaped): a live view. */
  readonly onRecord?: (record: LogRecord) => void;
}

/** Writes lines. No method throws, whatever it is given. */
export interface Logger {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Whether lines of `level` are written: ask before building costly fields. */
  isEnabled(level: LogLevel): boolean;
  /** A logger whose every line also carries `fields`. */
  child(fields: LogFields): Logger;
}

/** A line that another process sent. */
export interface RelayedLine {
  readonly time: Date;
  readonly level: LogLevel;
  /** Names the process that wrote it. */
  readonly process: string;
  readonly message: string;
  readonly fields?: LogFields;
}

/** The logger that owns files. */
export interface RootLogger extends Logger {
  /** Calls back with every record that is written from now on (redacted, not escaped). Returns what ends that. */
  observe(listener: (record: LogRecord) => void): () => void;
  /**
   * Writes a line that another process sent, to files and observers; the console keeps to this process. It is redacted and escaped as every
   * other, and bounded by whoever hands it in.
   */
  relay(line: RelayedLine): void;
  /** Waits until everything written so far, compression included, is on disk. */
  flush(): Promise<void>;
  /** Flushes and closes the files; later lines go to the console only. */
  close(): Promise<void>;
}

const DEFAULT_ROTATE_BYTES = 500_000_000;
const DEFAULT_KEEP_DAYS = 10;

/** What every level's method shares: turns a call into a record and hands it to the pipeline. */
type Emit = (level: LogLevel, message: string, fields: readonly LogFields[], site: () => CallSite) => void;

/**
 * Makes the log of one process of a run.
 *
 * @throws LogFileError when a file cannot be opened: a log that nobody can read is found out at the start.
 */
export function createLogger(options: LoggerOptions): RootLogger {
  const level = options.level ?? 'info';
  const redactor = new Redactor(options.secrets ?? [], process.env);
  const format = options.json === true ? formatJson : formatText;
  const rotation = {
    maxBytes: options.rotateBytes ?? DEFAULT_ROTATE_BYTES,
    keepDays: options.keepDays ?? DEFAULT_KEEP_DAYS,
  };
  const files = [...new Set(options.files)].map((file) => new RotatingFile(file, rotation));
  const console = options.console === true ? process.stderr : options.console;
  const consoleLevel = options.consoleLevel ?? level;
  const lowest = Math.min(weight(level), console ? weight(consoleLevel) : Infinity);

  const pipeline = new Pipeline<LogRecord>({ type: 'hidden', minLevel: lowest, stack: { capture: 'off' } });
  if (console) {
    pipeline.attachTransport({
      name: 'console',
      minLevel: weight(consoleLevel),
      format: options.plainConsole === true && options.json !== true ? formatPlain : format,
      write: (record, line) => {
        if (record.pid === undefined) return;
        try {
          console.write(`${line}\n`);
        } catch {
          // A closed terminal; the files still have the line.
        }
      },
    });
  }
  for (const file of files) {
    pipeline.attachTransport({
      name: file.path,
      minLevel: weight(level),
      format,
      write: (_record, line) => {
        file.write(line);
      },
    });
  }

  const observers = new Set<(record: LogRecord) => void>(options.onRecord === undefined ? [] : [options.onRecord]);
  const emit: Emit = (at, message, fields, site) => {
    if (weight(at) < lowest) return;
    try {
      const record: LogRecord = {
        time: new Date(),
        level: at,
        process: options.process,
        pid: process.pid,
        ...site(),
        ...cleaned(redactor, message, fields),
        ramBytes: process.memoryUsage.rss(),
      };
      pipeline.log(weight(at), at.toUpperCase(), record);
      for (const observer of observers) observer(record);
    } catch {
      // A broken console or an exotic value: no line of a log is worth ending what it reports on.
    }
  };
  const relay = ({ time, level: at, process: from, message, fields = {} }: RelayedLine): void => {
    if (weight(at) < weight(level)) return;
    try {
      const record: LogRecord = { time, level: at, process: redactor.text(from), ...cleaned(redactor, message, [fields]) };
      pipeline.log(weight(at), at.toUpperCase(), record);
      for (const observer of observers) observer(record);
    } catch {
      // As above.
    }
  };
  return {
    ...loggerOver(emit, {}, (at) => weight(at) >= lowest),
    observe: (listener) => {
      observers.add(listener);
      return () => observers.delete(listener);
    },
    relay,
    flush: async () => {
      await Promise.all(files.map((file) => file.flush()));
    },
    close: async () => {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

/** A logger that writes nothing, for callers that were given none. */
export const silentLogger: Logger = loggerOver(
  () => undefined,
  {},
  () => false,
);

function loggerOver(emit: Emit, bound: LogFields, isEnabled: (level: LogLevel) => boolean): Logger {
  const method = (level: LogLevel): ((message: string, fields?: LogFields) => void) => {
    const write = (message: string, fields?: LogFields): void => {
      emit(level, message, [bound, fields ?? {}], () => callSite(write));
    };
    return write;
  };
  return {
    trace: method('trace'),
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    isEnabled,
    child: (fields) => loggerOver(emit, { ...bound, ...fields }, isEnabled),
  };
}

/** A field's getter or a proxy may throw: then the message alone is logged, and that the fields could not be read. */
function cleaned(
  redactor: Redactor,
  message: unknown,
  fields: readonly LogFields[],
): Pick<LogRecord, 'message' | 'fields'> {
  const text = redactor.text(String(message));
  try {
    return { message: text, fields: redactor.fields(Object.assign({}, ...fields) as LogFields) };
  } catch (error) {
    return { message: text, fields: { unreadable_fields: redactor.text(errorMessage(error)) } };
  }
}

function weight(level: LogLevel): number {
  return LOG_LEVELS.indexOf(level);
}

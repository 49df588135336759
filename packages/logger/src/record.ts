/** Levels in rising order of weight; a logger writes its own level and everything heavier. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** Structured fields of a line: `round`, `step`, `client_id`, `loss`, an `error`; any plain data. */
export type LogFields = Readonly<Record<string, unknown>>;

/** One line of the log before it is written as text or JSON. Strings are redacted already, not yet escaped. */
export interface LogRecord {
  readonly time: Date;
  readonly level: LogLevel;
  /** Which process of the run wrote it: `server`, `client_0`. */
  readonly process: string;
  /** Absent in a line that another machine sent, and so are the next three and the memory. */
  readonly pid?: number;
  /** File name without extension, function and line of the caller. */
  readonly module?: string;
  readonly function?: string;
  readonly line?: number;
  readonly message: string;
  readonly fields: LogFields;
  /** Resident memory of the process when the line was written. */
  readonly ramBytes?: number;
}

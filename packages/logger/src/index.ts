/**
 * @module
 * One structured log for a run, whichever process wrote the line.
 */
export { LogFileError } from './errors.ts';
export { escapeText, formatJson, formatText } from './format.ts';
export {
  createLogger,
  silentLogger,
  type ConsoleSink,
  type Logger,
  type RelayedLine,
  type LoggerOptions,
  type RootLogger,
} from './logger.ts';
export { LOG_LEVELS, type LogFields, type LogLevel, type LogRecord } from './record.ts';
export { isSecretName, REDACTED } from './redact.ts';

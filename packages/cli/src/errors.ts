import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core/errors';

/** The command line itself is wrong: an unknown command or flag, a missing value. Exit code 2. */
export class UsageError extends Zk0Error {
  declare readonly code: 'USAGE';

  constructor(message: string, options: Zk0ErrorOptions = {}) {
    super('USAGE', message, options);
  }
}

/**
 * Codes of {@link ConfigError}: the file is missing, cannot be read or is too large; it is not YAML; a key is unknown or a
 * value not allowed.
 */
export type ConfigErrorCode = 'CONFIG_UNREADABLE' | 'CONFIG_SYNTAX' | 'CONFIG_INVALID';

/** A configuration file, an override or a flag does not make a valid configuration. Exit code 2. */
export class ConfigError extends Zk0Error {
  declare readonly code: ConfigErrorCode;

  constructor(code: ConfigErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}

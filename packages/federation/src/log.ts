/** Where the engine says what it does; `@zk0/logger`'s Logger fits. */
export interface FederationLog {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

const silence = (): void => undefined;

/** Says nothing. */
export const silentLog: FederationLog = { debug: silence, info: silence, warn: silence, error: silence };

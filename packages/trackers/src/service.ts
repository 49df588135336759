import type { TrackerAddress } from './address.ts';
import type { NumberedLine } from './lines.ts';

/** What a service's client is made of. */
export interface ServiceOptions {
  readonly address: TrackerAddress;
  /** Where credentials come from. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** How figures get to one kind of tracker. */
export interface Service {
  /**
   * Sends lines, of which the tracker may have some already.
   *
   * @param remote - what the last call returned; empty before the first
   * @returns what the next call is to know
   * @throws TrackerError; `TRACKER_REFUSED` for lines that the tracker will never take
   */
  send(lines: readonly NumberedLine[], remote: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
}

import type { JsonObject } from '../federation/messages.ts';
import type { OperatorPrincipal } from './federation-service.ts';

/** A file of the page. It holds no data, so whoever reaches the server may have it. */
export interface PageFile {
  readonly contentType: string;
  readonly bytes: Uint8Array;
  /** The same bytes, compressed with gzip. */
  readonly gzip: Uint8Array;
  /** The file's address changes with its content, so a browser may keep it. */
  readonly immutable: boolean;
}

/** One message of the page's event stream. */
export interface PageMessage {
  /** Where in the stream the reader is after this message; a reader that comes back names it. */
  readonly id: string;
  readonly event: string;
  /** JSON text. */
  readonly data: string;
}

/**
 * A web page for operators, as a transport serves it: static files, and what the page reads and does once the transport knows that an
 * operator asks. `@zk0/dashboard` implements it; `@zk0/transport` serves it, and decides who is an operator.
 */
export interface OperatorPage {
  /** The files by path; `/` is the document. */
  files(): Promise<ReadonlyMap<string, PageFile>>;
  /**
   * Messages from now on, until `signal` aborts. The first one is a snapshot, unless `lastId` is a place in the stream from which
   * everything that followed is still known.
   */
  stream(lastId: string | undefined, signal: AbortSignal): AsyncIterable<PageMessage>;
  /** @throws Zk0Error for what does not exist */
  read(what: string, parameters: Readonly<Record<string, string>>): Promise<JsonObject>;
  /** Where a clip of a trial lies on this machine; `null` where there is none. @throws Zk0Error for a run that does not exist */
  clip?(run: string, checkpoint: string, file: string): Promise<string | null>;
  /** @throws Zk0Error when it cannot be done, with what to do about it */
  act(operator: OperatorPrincipal, action: string, input: JsonObject): Promise<JsonObject>;
}

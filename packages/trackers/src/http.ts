import { errorMessage } from '@zk0/core';
import { TrackerError } from './errors.ts';

/** How long a tracker may take to answer. */
const ANSWER_MS = 30_000;
/** Answers are identifiers and names. */
const MAX_ANSWER_BYTES = 4 << 20;

/** One request to a tracker. */
export interface TrackerRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

/**
 * Sends JSON and reads JSON. Redirects are not followed: a credential goes to the address that was named, and nowhere else.
 *
 * @returns the answer of 2xx, or `null` for 404
 * @throws TrackerError `TRACKER_UNREACHABLE` for what may pass, `TRACKER_UNAUTHORIZED` for 401 and 403, `TRACKER_REFUSED` for other 4xx
 */
export async function requestJson({ method, url, headers, body, signal }: TrackerRequest): Promise<Readonly<Record<string, unknown>> | null> {
  const where = new URL(url).origin;
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, {
      method,
      redirect: 'error',
      headers: { accept: 'application/json', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    status = response.status;
    text = await boundedText(response);
  } catch (error) {
    if (error instanceof TrackerError) throw error;
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new TrackerError('TRACKER_UNREACHABLE', `${where} does not answer: ${errorMessage(cause)}`, { cause: error, hint: 'Figures are kept and sent when it does.' });
  }
  if (status === 404) return null;
  if (status === 401 || status === 403) {
    throw new TrackerError('TRACKER_UNAUTHORIZED', `${where} does not accept the credentials (${status})`, { hint: 'Check the variables of the environment that docs/researcher.md names.' });
  }
  if (status >= 500 || status === 408 || status === 429) throw new TrackerError('TRACKER_UNREACHABLE', `${where} answers ${status}`, { hint: 'Figures are kept and sent later.' });
  if (status >= 300) throw new TrackerError('TRACKER_REFUSED', `${where} answers ${status}: ${text.slice(0, 300)}`);
  try {
    const value: unknown = text === '' ? {} : JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch (error) {
    throw new TrackerError('TRACKER_UNREACHABLE', `${where} answers something that is no JSON`, { cause: error, hint: 'Check the address: a proxy or another program may be there.' });
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const body: AsyncIterable<Uint8Array> | null = response.body;
  if (body === null) return '';
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > MAX_ANSWER_BYTES) throw new TrackerError('TRACKER_UNREACHABLE', `the answer of ${new URL(response.url).origin} is too long`, { hint: 'Check the address.' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

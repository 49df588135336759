import { parseRetryAfter } from '@zk0/core';
import { HubError } from './errors.ts';

/** Who answered. */
export interface Answerer {
  readonly host: string;
  /** Whether it is the hub itself, not where it keeps large files. */
  readonly isHub: boolean;
  readonly hasToken: boolean;
  /** What was asked for, e.g. `dataset owner/name@main`. */
  readonly about: string;
}

/** The error that a status of 400 or above means, by the hub's own header `X-Error-Code` where there is one. */
export function statusError(status: number, header: (name: string) => string | undefined, { host, isHub, hasToken, about }: Answerer): HubError {
  const code = header('x-error-code');
  if (status === 429 || status >= 500 || status === 408) {
    return new HubError('HUB_UNAVAILABLE', `${about}: ${host} answered with status ${status}`, {
      retryAfterMs: retryAfter(header),
      hint: status === 429 ? 'Wait some minutes; with HF_TOKEN set the hub allows more requests.' : 'Try again later.',
    });
  }
  if (status === 416) return new HubError('HUB_CONTENT', `${about}: ${host} has a shorter file than the repository lists`, { hint: 'Try again.' });
  if (!isHub) {
    // A signed address that has run out: the hub gives a new one.
    return new HubError('HUB_UNAVAILABLE', `${about}: ${host} answered with status ${status}`, { hint: 'Try again later.' });
  }
  if (code === 'GatedRepo') {
    return new HubError('HUB_FORBIDDEN', `${about} is gated (${host})`, {
      hint: hasToken ? 'Ask for access on its page, logged in as the owner of the token.' : 'Ask for access on its page, then set HF_TOKEN.',
    });
  }
  // Without a token the hub answers 401 for repositories that do not exist, too.
  if (status === 401) {
    return new HubError('HUB_UNAUTHORIZED', hasToken ? `${about}: ${host} does not accept the token` : `${about} does not exist on ${host}, or is private`, {
      hint: hasToken ? 'Check HF_TOKEN, or log in again with `hf auth login`.' : 'Check the name; for a private repository set HF_TOKEN.',
    });
  }
  if (status === 403) {
    return new HubError('HUB_FORBIDDEN', `${about}: ${host} forbids access`, { status, hint: 'Use a token that may read this repository.' });
  }
  if (code === 'EntryNotFound') return new HubError('HUB_FILE_MISSING', `${about}: ${host} has no such file`, { hint: 'Check the revision.' });
  if (status === 404 || code?.endsWith('NotFound') === true) {
    const what = code === 'RevisionNotFound' ? 'revision' : 'repository';
    return new HubError('HUB_NOT_FOUND', `${about}: ${host} has no such ${what}`, {
      hint: hasToken ? 'Check owner, name and revision.' : 'Check owner, name and revision; for a private repository set HF_TOKEN.',
    });
  }
  return new HubError('HUB_REFUSED', `${about}: ${host} answered with status ${status}`, { status, hint: 'Check HF_ENDPOINT, owner, name and revision.' });
}

/** `Retry-After`, or the time to the end of the window in the hub's `RateLimit: "api";r=0;t=45`. */
function retryAfter(header: (name: string) => string | undefined): number | undefined {
  const asked = parseRetryAfter(header('retry-after'), Date.now());
  if (asked !== null) return asked;
  const reset = /;\s*t=(\d{1,9})\b/.exec(header('ratelimit') ?? '')?.[1];
  return reset === undefined ? undefined : Number(reset) * 1000;
}

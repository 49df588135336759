import { batch } from '@preact/signals';
import { decodeEvents, decodeView } from '../src/model/wire.ts';
import { MessageReader } from './messages.ts';
import { link, takeEvents, takeSnapshot } from './state.ts';

/** The server says something at least every 15 s; a line that is silent for this long is dead, in ms. */
const SILENCE_MS = 40_000;
const FIRST_PAUSE_MS = 300;
const MAX_PAUSE_MS = 4000;
/** A page that nobody sees gives its connection back after this long, in ms: browsers have few for one server. */
const HIDDEN_MS = 60_000;

let lastId: string | undefined;
let wake: () => void = () => undefined;

/** Follows the server for ever: comes back after it was away, and goes on where it was if the server still knows. */
export async function follow(): Promise<void> {
  let pause = FIRST_PAUSE_MS;
  for (const event of ['online', 'focus']) addEventListener(event, () => { wake(); });
  document.addEventListener('visibilitychange', () => { wake(); });
  for (;;) {
    const outcome = await listen(() => (pause = FIRST_PAUSE_MS));
    if (outcome === 'login') {
      link.value = { state: 'login' };
      await new Promise<void>((resolve) => (loggedIn = resolve));
      link.value = { state: 'connecting' };
      continue;
    }
    if (outcome === 'hidden') {
      await shown();
      continue;
    }
    if (link.value.state !== 'login') {
      const since = link.value.state === 'lost' ? link.value.since : Date.now();
      link.value = { state: 'lost', since, ...(outcome !== 'lost' && { reason: outcome.refusal }) };
    }
    await sleep(pause);
    pause = Math.min(2 * pause, MAX_PAUSE_MS);
  }
}

let loggedIn: () => void = () => undefined;

/** The server has let an operator in. */
export function goOn(): void {
  loggedIn();
}

/** Forgets where it was: what follows is for another session. */
export function forget(): void {
  lastId = undefined;
}

/** One connection, to its end. */
async function listen(onLive: () => void): Promise<'lost' | 'login' | 'hidden' | { readonly refusal: string }> {
  const abort = new AbortController();
  let watchdog = setTimeout(() => { abort.abort(); }, SILENCE_MS);
  let hidden: ReturnType<typeof setTimeout> | undefined;
  const onVisibility = (): void => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => { abort.abort('hidden'); }, HIDDEN_MS);
  };
  document.addEventListener('visibilitychange', onVisibility);
  try {
    const reply = await fetch('/page/events', {
      cache: 'no-store',
      signal: abort.signal,
      headers: { accept: 'text/event-stream', ...(lastId === undefined ? {} : { 'last-event-id': lastId }) },
    });
    if (reply.status === 401) return 'login';
    if (!reply.ok) return { refusal: await refusalOf(reply) };
    if (reply.body === null) return 'lost';
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    const messages = new MessageReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return 'lost';
      clearTimeout(watchdog);
      watchdog = setTimeout(() => { abort.abort(); }, SILENCE_MS);
      batch(() => {
        for (const { id, event, data } of messages.take(value)) {
          if (event === 'snapshot') takeSnapshot(decodeView(data));
          else if (event === 'changes') takeEvents(decodeEvents(data));
          if (event !== 'error') lastId = id;
        }
        if (link.value.state !== 'live') link.value = { state: 'live' };
      });
      onLive();
    }
  } catch {
    return abort.signal.reason === 'hidden' ? 'hidden' : 'lost';
  } finally {
    clearTimeout(watchdog);
    clearTimeout(hidden);
    document.removeEventListener('visibilitychange', onVisibility);
  }
}

/** What the server says against following it: too many pages are open, a proxy names another host. */
async function refusalOf(reply: Response): Promise<string> {
  try {
    const { error } = (await reply.json()) as { readonly error: { readonly message: string; readonly hint?: string } };
    return `The server refuses: ${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`;
  } catch {
    return `Something else than the server answers (status ${reply.status})`;
  }
}

/** Waits, and less where there is reason to try at once. Pages that lost a server together come back apart: nothing repeats this draw. */
function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms * (0.75 + 0.5 * Math.random()));
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

function shown(): Promise<void> {
  return new Promise((resolve) => {
    wake = () => {
      if (!document.hidden) resolve();
    };
    wake();
  });
}

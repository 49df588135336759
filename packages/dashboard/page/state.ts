import { computed, signal } from '@preact/signals';
import type { PageEvent } from '../src/model/events.ts';
import { reducePage } from '../src/model/reduce.ts';
import { reduceRun } from '../src/model/reduce-run.ts';
import { decodeRound, decodeRun, decodeSuccesses } from '../src/model/wire.ts';
import type { ClientView, PageView, RoundView, RunBrief, RunView, SuccessView } from '../src/model/view.ts';
import { ask } from './server.ts';

/** How the page stands with its server. */
export type Link =
  | { readonly state: 'connecting' }
  | { readonly state: 'live' }
  /** Not connected since then; it is tried again. */
  | { readonly state: 'lost'; readonly since: number; readonly reason?: string }
  /** The server wants the operators' token. */
  | { readonly state: 'login' };

export const link = signal<Link>({ state: 'connecting' });
/** Whether there is a session that can be ended. */
export const canLogOut = signal(false);
export const view = signal<PageView | null>(null);
/** Milliseconds that the server's clock is ahead of the browser's. */
const clockOffset = signal(0);
const tick = signal(Date.now());
/** The server's time, once a second. */
export const now = computed(() => tick.value + clockOffset.value);
/** The run that somebody chose; `null`: whichever the server is at. */
export const chosenRun = signal<string | null>(runOfAddress());
/** Runs that were asked for: ended ones, and those to compare with. */
const otherRuns = signal<ReadonlyMap<string, RunView>>(new Map());
export const runError = signal<string | null>(null);
/** Whether the run has come so far that there is something to show of it. */
export const hasRounds = computed(() => (run.value?.rounds.length ?? 0) > 0);
/** The client that is marked in all charts. */
export const markedClient = signal<string | null>(null);
export const comparedRuns = signal<readonly string[]>([]);

export type Theme = 'auto' | 'light' | 'dark';
export const theme = signal<Theme>(storedTheme());

// Parts of the view, each by itself: what shows one of them is not drawn again when another one changes.
export const hasView = computed(() => view.value !== null);
export const clients = computed(() => view.value?.clients ?? new Map<string, ClientView>());
export const version = computed(() => view.value?.server.version ?? '');
export const memoryBytes = computed(() => view.value?.server.memoryBytes ?? 0);
export const runs = computed(() => view.value?.runs ?? new Map<string, RunBrief>());
export const currentRun = computed(() => view.value?.current ?? null);
export const waiting = computed(() => view.value?.waiting ?? null);
export const nodes = computed(() => view.value?.nodes ?? null);
export const logLines = computed(() => view.value?.log ?? []);
const liveRun = computed(() => view.value?.run ?? null);
export const liveRunId = computed(() => liveRun.value?.runId ?? null);

/** The run that the page is about. */
export const run = computed<RunView | null>(() => {
  const { value: chosen } = chosenRun;
  return chosen === null ? liveRun.value : runById(chosen);
});

/** A run that is known here. */
export function runById(runId: string): RunView | null {
  const { value: live } = liveRun;
  return live?.runId === runId ? live : (otherRuns.value.get(runId) ?? null);
}

/** The server's time at this instant. */
export function serverNow(): number {
  return Date.now() + clockOffset.value;
}

/** Takes a snapshot from the server. */
export function takeSnapshot(next: PageView): void {
  view.value = next;
  clockOffset.value = next.server.at - Date.now();
  // What was asked for may have gone on meanwhile.
  for (const runId of new Set([...otherRuns.value.keys(), ...(chosenRun.value === null ? [] : [chosenRun.value])])) void loadRun(runId, true);
}

/** Takes changes from the server. */
export function takeEvents(events: readonly PageEvent[]): void {
  if (view.value === null) return;
  const before = view.value.run;
  view.value = reducePage(view.value, events);
  // A run that is no longer the server's may still be looked at.
  if (before !== null && view.value.run?.runId !== before.runId) remember(before);
  for (const event of events) {
    const other = event.type === 'run' ? otherRuns.value.get(event.runId) : undefined;
    if (event.type !== 'run' || other === undefined) continue;
    const next = reduceRun(other, event);
    if (next !== null && next !== other) remember(next);
  }
}

/** Chooses the run that the page is about; `null`: whichever the server is at. */
export function chooseRun(runId: string | null): void {
  chosenRun.value = runId;
  runError.value = null;
  history.replaceState(null, '', runId === null ? '#' : `#run=${encodeURIComponent(runId)}`);
  if (runId !== null) void loadRun(runId);
}

/** Asks for a run unless it is here. @param again - even then: it may have gone on */
export async function loadRun(runId: string, again = false): Promise<void> {
  if (liveRunId.value === runId || (!again && runById(runId) !== null)) return;
  try {
    const { data } = await ask('GET', `/page/read/run?run=${encodeURIComponent(runId)}`);
    remember(decodeRun(String(data)));
  } catch (error) {
    runError.value = error instanceof Error ? error.message : String(error);
  }
}

/** How often checkpoints of the run that is shown did their tasks, by the checkpoint's folder. */
export const successes = signal<ReadonlyMap<string, SuccessView>>(new Map());

/** Asks for the success rates of a run. Where they cannot be had, none are shown. */
export async function loadSuccesses(runId: string): Promise<void> {
  const found = await ask('GET', `/page/read/success?run=${encodeURIComponent(runId)}`).then(({ data }) => decodeSuccesses(String(data)), () => []);
  successes.value = new Map(found.map((one) => [one.checkpoint, one]));
}

/** Asks for a round with all its participants. */
export async function loadRound(runId: string, round: number): Promise<RoundView> {
  const { data } = await ask('GET', `/page/read/round?run=${encodeURIComponent(runId)}&round=${round}`);
  return decodeRound(String(data));
}

export function chooseTheme(next: Theme): void {
  theme.value = next;
  localStorage.setItem('zk0-theme', next);
  applyTheme();
}

export function applyTheme(): void {
  document.documentElement.dataset['theme'] = theme.value;
}

/** Keeps time. */
export function startClock(): void {
  setInterval(() => {
    tick.value = Date.now();
  }, 1000);
}

function remember(run: RunView): void {
  otherRuns.value = new Map(otherRuns.value).set(run.runId, run);
}

function runOfAddress(): string | null {
  const given = /^#run=(.+)$/.exec(location.hash)?.[1];
  return given === undefined ? null : decodeURIComponent(given);
}

function storedTheme(): Theme {
  const stored = localStorage.getItem('zk0-theme');
  return stored === 'light' || stored === 'dark' ? stored : 'auto';
}

import { randomUUID } from 'node:crypto';
import { errorMessage, type PageMessage } from '@zk0/core';
import { summarize, type FederationEvent, type FederationLog, type RunSummary } from '@zk0/federation';
import type { ClientRecord, PageEvent } from '../model/events.ts';
import { MAX_LOG_LINES, newestLines } from '../model/reduce.ts';
import { reduceRunProgress } from '../model/reduce-run.ts';
import { runChange } from '../model/run-change.ts';
import { emptyView, type ClientView, type LogLine, type PageView, type RunBrief } from '../model/view.ts';
import { Batches } from './batches.ts';
import { clientRecords, differing, nodeViews } from './lists.ts';
import { runView } from './run-history.ts';
import type { DashboardLogRecord, DashboardSources } from './sources.ts';

/** Changes are sent so often, in ms: more often than people can see is only work. */
const FLUSH_MS = 250;
/** Lists that nothing announces are looked at so often while somebody has the page open, in ms. */
const REFRESH_MS = 2000;
/** Entries after which a list differs at once. */
const LISTED: ReadonlySet<string> = new Set(['run-created', 'run-started', 'round-configured', 'run-finished', 'run-failed', 'run-stopped', 'run-paused', 'run-resumed', 'client-excluded', 'client-readmitted']);
/** Longest line of the log that is shown. */
const MAX_LINE_CHARS = 1000;

type Report = Extract<PageEvent, { type: 'progress' }>;

/** What a feed needs. */
export interface FeedOptions extends DashboardSources {
  readonly version: string;
  readonly log: FederationLog;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Gathers what happens on a server into the page's view, and sends everybody who follows a snapshot and then changes. Before somebody has
 * opened the page it only keeps the newest lines of the log, and when clients began what they are at.
 */
export class Feed {
  readonly #options: FeedOptions;
  /** Places of another process's stream mean nothing here. */
  readonly #epoch = randomUUID().slice(0, 8);
  readonly #batches: Batches;
  readonly #closing = new AbortController();
  readonly #wakers = new Set<() => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #opened: Promise<void> | undefined;
  #refreshing: Promise<void> | undefined;
  #refreshAgain = false;
  #isBlind = false;
  #followers = 0;
  #lines = 0;
  /** Lines from before the page was opened. */
  #earlyLines: LogLine[] = [];
  #undo: (() => void)[] = [];
  /** The first report of each client and kind of work in the round that is open. */
  readonly #firstReports = new Map<string, Report>();
  /** Entries of a run whose history is just being read. */
  #opening: { readonly runId: string; readonly entries: PageEvent[] } | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#batches = new Batches(emptyView(options.version, options.now()));
    void this.#follow();
  }

  get view(): PageView {
    return this.#batches.view;
  }

  /** Takes a line of a log. Never throws. */
  line({ time, level, process, message }: DashboardLogRecord): void {
    const line: LogLine = { id: ++this.#lines, at: time.getTime(), level, process, message: message.slice(0, MAX_LINE_CHARS) };
    if (this.#opened !== undefined) this.#add({ type: 'log', lines: [line] });
    else if (this.#earlyLines.push(line) > 3 * MAX_LOG_LINES) this.#earlyLines = [...newestLines(this.#earlyLines)];
  }

  /** See `OperatorPage.stream`. */
  async *stream(lastId: string | undefined, signal: AbortSignal): AsyncGenerator<PageMessage> {
    const either = AbortSignal.any([signal, this.#closing.signal]);
    const [epoch, given] = (lastId ?? '').split('.');
    let place = epoch === this.#epoch && /^\d{1,15}$/.test(given ?? '') ? Number(given) : undefined;
    this.#followers++;
    try {
      await (this.#opened ??= this.#open());
      // Lists may be as old as the last follower.
      await this.refresh();
      this.#flush();
      while (!either.aborted) {
        const delivery = this.#batches.after(place);
        if (delivery === null) await this.#changed(either);
        else {
          place = delivery.place;
          yield { id: `${this.#epoch}.${place}`, event: delivery.kind, data: delivery.data };
        }
      }
    } finally {
      this.#followers--;
    }
  }

  /** Looks at the lists that nothing announces. Several calls at once are at most one more look. */
  async refresh(): Promise<void> {
    if (this.#refreshing !== undefined) {
      this.#refreshAgain = true;
      return this.#refreshing;
    }
    this.#refreshing = (async () => {
      do {
        this.#refreshAgain = false;
        await this.#look().then(
          () => (this.#isBlind = false),
          (error: unknown) => {
            // Said once: it is tried again every few seconds.
            if (!this.#isBlind) this.#options.log.warn(`the page could not be brought up to date: ${errorMessage(error)}; it is tried again`);
            this.#isBlind = true;
          },
        );
      } while (this.#isStale());
    })();
    await this.#refreshing.finally(() => (this.#refreshing = undefined));
  }

  close(): void {
    this.#closing.abort();
    for (const undo of this.#undo) undo();
    for (const timer of this.#timers) clearInterval(timer);
    for (const wake of [...this.#wakers]) wake();
  }

  async #open(): Promise<void> {
    const { ledger, coordinator } = this.#options;
    this.#add({ type: 'log', lines: this.#earlyLines.splice(0) });
    this.#undo = [
      ledger.subscribe((entry, run) => {
        const event: PageEvent = { type: 'run', runId: entry.runId, position: entry.position, at: entry.at.getTime(), change: runChange(entry.event) };
        if (this.#opening?.runId === entry.runId) this.#opening.entries.push(event);
        this.#add(event);
        this.#add({ type: 'runs', changed: [brief(summarize(run.state))] });
        if (LISTED.has(entry.event.type)) void this.refresh();
      }),
      coordinator.onClientsChanged(() => void this.refresh()),
    ];
    this.#every(FLUSH_MS, () => { this.#flush(); });
    this.#every(REFRESH_MS, () => {
      if (this.#followers > 0) void this.refresh();
    });
    await this.refresh();
  }

  async #follow(): Promise<void> {
    const { coordinator, log } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        for await (const event of coordinator.follow(undefined, signal)) this.#take(event);
        // It ends with the coordinator; or it was too slow, and goes on.
        await new Promise((resolve) => setTimeout(resolve, REFRESH_MS).unref());
      } catch (error) {
        log.warn(`the page no longer follows the server’s events: ${errorMessage(error)}`);
        return;
      }
    }
  }

  #take(event: FederationEvent): void {
    if (event.kind === 'client-progress') {
      const { runId, clientId, round, phase, step, totalSteps, loss } = event;
      const progress: Report = { type: 'progress', at: this.#options.now(), runId, clientId, round, phase, step, totalSteps, ...(loss !== undefined && { loss }) };
      this.#note(progress);
      if (this.#opened !== undefined) this.#add(progress);
    } else if (this.#opened === undefined) {
      return;
    } else if (event.kind === 'server-progress') {
      const { runId, phase, step, totalSteps } = event;
      this.#add({ type: 'server-work', runId, phase, step, totalSteps });
    } else if (event.kind === 'waiting') {
      this.#add({ type: 'runs', changed: [], waiting: event.reason });
    }
  }

  #note(progress: Report): void {
    const { runId, round, clientId, phase } = progress;
    const [any] = this.#firstReports.values();
    if (any !== undefined && (any.runId !== runId || any.round !== round)) this.#firstReports.clear();
    const key = `${clientId} ${phase}`;
    if (!this.#firstReports.has(key)) this.#firstReports.set(key, progress);
  }

  /** Asked after a wait: somebody may have called for another look meanwhile. */
  #isStale(): boolean {
    return this.#refreshAgain;
  }

  /** One look at everything that is a list. */
  async #look(): Promise<void> {
    const { coordinator, nodes, now } = this.#options;
    const { clients, runs, current, waiting } = await coordinator.overview();
    const listed = nodes === undefined ? null : nodeViews(await nodes.listNodes());
    this.#flush();
    const { view } = this;
    this.#add({ type: 'server', at: now(), memoryBytes: process.memoryUsage.rss() });
    const records = clients.map((client) => clientRecords(client));
    const ids = new Set(records.map(({ clientId }) => clientId));
    const changed = records.filter((record) => isNews(view, record));
    const gone = [...view.clients.keys()].filter((clientId) => !ids.has(clientId));
    if (changed.length + gone.length > 0) this.#add({ type: 'clients', changed, gone });
    const briefs = runs.map(brief).filter((run) => differing(view.runs.get(run.runId), run));
    if (briefs.length > 0 || view.current !== current || view.waiting !== waiting) this.#add({ type: 'runs', changed: briefs, current, waiting });
    if (differing(view.nodes, listed)) this.#add({ type: 'nodes', nodes: listed });
    const focus = current ?? runs.findLast(({ phase }) => phase !== 'unreadable')?.runId;
    if (focus !== undefined && focus !== view.run?.runId) await this.#openRun(focus);
  }

  /** Makes a run the one that the page is about; entries that are written meanwhile follow. */
  async #openRun(runId: string): Promise<void> {
    const opening = { runId, entries: [] as PageEvent[] };
    this.#opening = opening;
    try {
      const run = await runView(this.#options.ledger, runId);
      if (run === null) return;
      const reports = [...this.#firstReports.values()].filter((report) => report.runId === runId);
      this.#add({ type: 'opened', run: reports.reduce(reduceRunProgress, run) });
      for (const entry of opening.entries) this.#add(entry);
    } finally {
      this.#opening = undefined;
    }
  }

  #add(event: PageEvent): void {
    this.#batches.add(event);
  }

  #flush(): void {
    if (!this.#batches.isPending) return;
    this.#batches.flush();
    for (const wake of [...this.#wakers]) wake();
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#wakers.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  #every(ms: number, work: () => void): void {
    const timer = setInterval(work, ms);
    timer.unref();
    this.#timers.add(timer);
  }
}

function isNews(view: PageView, record: ClientRecord): boolean {
  const known = view.clients.get(record.clientId);
  if (known === undefined) return true;
  const before: { -readonly [name in keyof ClientView]?: ClientView[name] } = { ...known };
  delete before.rate;
  delete before.reportedAt;
  return differing(before, record);
}

function brief({ runId, phase, round, rounds, policyLoss, ending, paused }: RunSummary): RunBrief {
  return { runId, phase, round, rounds, policyLoss, ending, paused };
}

import type { JsonObject, RunEvent } from '@zk0/core';
import { runConfigSchema, type PageMessage } from '@zk0/core';
import { Ledger, type ClientStatus, type FederationEvent } from '@zk0/federation';
import { MemoryLedgerStore } from '@zk0/federation/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDashboard, type Dashboard, type DashboardOptions } from './dashboard.ts';
import { reducePage } from './model/reduce.ts';
import type { PageView } from './model/view.ts';
import { decodeEvents, decodeRound, decodeRun, decodeView } from './model/wire.ts';

const operator = { role: 'operator', name: 'an operator on the page' } as const;
const HASH = 'ab'.repeat(32);
const status = (clientId: string, more: Partial<ClientStatus> & JsonObject = {}): ClientStatus => ({
  clientId, name: clientId, agent: 'test', label: 'set', numExamples: 10, state: 'idle', lastSeen: '2026-01-31T12:00:00.000Z', bytesUp: 0, bytesDown: 0, ...more,
});

/** A server as a dashboard sees it, with a real ledger. */
class Server {
  readonly store = new MemoryLedgerStore();
  readonly done: unknown[] = [];
  readonly closers = new AbortController();
  clients = [status('a')];
  current: string | null = null;
  ledger!: Ledger;
  readonly listeners = new Set<() => void>();
  readonly takers = new Set<(event: FederationEvent) => void>();

  async dashboard(more: Partial<DashboardOptions> = {}): Promise<Dashboard> {
    this.ledger = await Ledger.open(this.store);
    const coordinator: DashboardOptions['coordinator'] = {
      overview: async () => ({ clients: this.clients, runs: await this.ledger.summaries(), current: this.current, waiting: null }),
      onClientsChanged: (listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
      stop: (reason, runId) => {
        this.done.push([reason, runId]);
        return Promise.resolve({ runId: runId! });
      },
      changeRun: ({ name }, change) => {
        this.done.push([name, change]);
        return Promise.resolve({ runId: change.runId! });
      },
      submitRun: ({ name }, config) => {
        this.done.push([name, config]);
        return Promise.resolve({ runId: 'new' });
      },
      follow: (_runId, signal) => this.#follow(signal),
    };
    const dashboard = createDashboard({ ledger: this.ledger, coordinator, version: '1.2.3', ...more });
    this.closers.signal.addEventListener('abort', () => { dashboard.close(); });
    return dashboard;
  }

  async *#follow(signal: AbortSignal): AsyncGenerator<FederationEvent> {
    const backlog: FederationEvent[] = [];
    let wake: () => void = () => undefined;
    this.takers.add((event) => {
      backlog.push(event);
      wake();
    });
    signal.addEventListener('abort', () => { wake(); });
    while (!signal.aborted) {
      const event = backlog.shift();
      if (event !== undefined) yield event;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  emit(event: FederationEvent): void {
    for (const take of this.takers) take(event);
  }

  async record(runId: string, ...events: RunEvent[]): Promise<void> {
    for (const event of events) await this.ledger.record(runId, event);
  }

  async startRun(runId: string): Promise<void> {
    await this.record(
      runId,
      { type: 'run-created', runId, config: runConfigSchema.parse({ rounds: 2 }) },
      { type: 'run-started', parameters: { hash: HASH, byteLength: 1 }, context: {}, clients: ['a'] },
      { type: 'round-evaluated', round: 0, evaluation: null },
      { type: 'round-configured', round: 1, assignments: [{ clientId: 'a', instructions: {} }] },
    );
  }
}

/** A reader of the stream, who folds what comes as a browser does. */
class Reader {
  readonly messages: PageMessage[] = [];
  readonly #stream: AsyncIterator<PageMessage>;
  view: PageView | undefined;

  constructor(dashboard: Dashboard, lastId?: string, signal = new AbortController().signal) {
    this.#stream = dashboard.stream(lastId, signal)[Symbol.asyncIterator]();
  }

  async next(): Promise<PageMessage> {
    const { value } = (await this.#stream.next()) as { value: PageMessage };
    this.messages.push(value);
    this.view = value.event === 'snapshot' ? decodeView(value.data) : reducePage(this.view!, decodeEvents(value.data));
    return value;
  }

  /** Reads until the view is so. */
  async until(condition: (view: PageView) => boolean): Promise<PageView> {
    while (this.view === undefined || !condition(this.view)) await this.next();
    return this.view;
  }
}

let server: Server;
beforeEach(() => { server = new Server(); });
afterEach(() => { server.closers.abort(); });

describe('the stream', () => {
  it('begins with everything: version, clients, runs, the run in progress, the log so far', async () => {
    const dashboard = await server.dashboard();
    dashboard.line({ time: new Date(5), level: 'warn', process: 'server', message: 'before anybody looked' });
    await server.startRun('run-1');
    server.current = 'run-1';
    const reader = new Reader(dashboard);
    expect((await reader.next()).event).toBe('snapshot');
    expect(reader.view).toMatchObject({ server: { version: '1.2.3' }, current: 'run-1', run: { runId: 'run-1', phase: 'running' }, nodes: null });
    expect([...reader.view!.clients.keys()]).toEqual(['a']);
    expect([...reader.view!.runs.keys()]).toEqual(['run-1']);
    expect(reader.view!.log).toMatchObject([{ message: 'before anybody looked', level: 'warn', at: 5 }]);
    expect(reader.view!.server.memoryBytes).toBeGreaterThan(1e6);
  });

  it('goes on with what is recorded, what clients report, and lines of the log', async () => {
    const dashboard = await server.dashboard();
    await server.startRun('run-1');
    const reader = new Reader(dashboard);
    await reader.next();
    server.emit({ kind: 'client-progress', runId: 'run-1', clientId: 'a', round: 1, phase: 'training', step: 3, totalSteps: 9, loss: 0.5 });
    server.emit({ kind: 'server-progress', runId: 'run-1', phase: 'evaluating', step: 1, totalSteps: 4 });
    server.emit({ kind: 'waiting', runId: 'run-1', reason: 'for more clients' });
    dashboard.line({ time: new Date(), level: 'info', process: 'server', message: 'x'.repeat(5000) });
    await server.record('run-1', { type: 'update-refused', round: 1, clientId: 'a', code: 'X', message: 'it holds NaN' });
    const view = await reader.until(({ run }) => run?.rounds[1]?.refused === 1);
    expect(view.clients.get('a')).toMatchObject({ state: 'idle' });
    expect(view.run!.rounds[1]!.participants!.get('a')!.phases).toMatchObject([{ phase: 'training' }]);
    expect(view.run!.serverWork).toEqual({ phase: 'evaluating', step: 1, totalSteps: 4 });
    expect(view.waiting).toBe('for more clients');
    expect(view.log[0]!.message).toHaveLength(1000);
  });

  it('knows what clients began before anybody looked', async () => {
    const dashboard = await server.dashboard();
    await server.startRun('run-1');
    server.emit({ kind: 'client-progress', runId: 'run-1', clientId: 'a', round: 1, phase: 'downloading', step: 3, totalSteps: 9 });
    const reader = new Reader(dashboard);
    const view = await reader.until(({ run }) => (run?.rounds[1]?.participants?.get('a')?.phases.length ?? 0) > 0);
    expect(view.run!.rounds[1]!.participants!.get('a')!.phases).toMatchObject([{ phase: 'downloading' }]);
  });

  it('takes up a reader where it was, as long as this process knows', async () => {
    const dashboard = await server.dashboard();
    await server.startRun('run-1');
    const reader = new Reader(dashboard);
    const { id } = await reader.next();
    await server.record('run-1', { type: 'update-refused', round: 1, clientId: 'a', code: 'X', message: 'no' });
    await reader.until(({ run }) => run?.rounds[1]?.refused === 1);
    const again = new Reader(dashboard, id);
    again.view = decodeView(reader.messages[0]!.data);
    expect((await again.next()).event).toBe('changes');
    await again.until(({ run }) => run?.rounds[1]?.refused === 1);
    for (const lastId of ['0badf00d.1', `${id}9999`, id.replace(/\d+$/, '99'), 'nonsense', '.', '']) {
      expect([lastId, (await new Reader(dashboard, lastId).next()).event]).toEqual([lastId, 'snapshot']);
    }
  });

  it('gives a reader from before a restart the whole of what the ledger knows', async () => {
    const first = await server.dashboard();
    await server.startRun('run-1');
    const { id } = await new Reader(first).next();
    const restarted = new Server();
    Object.assign(restarted, { store: server.store, current: 'run-1' });
    const reader = new Reader(await restarted.dashboard(), id);
    expect((await reader.next()).event).toBe('snapshot');
    expect(reader.view!.run).toMatchObject({ runId: 'run-1', position: 4 });
    restarted.closers.abort();
  });

  it('turns to the next run when that begins, and shows who came and went', async () => {
    const dashboard = await server.dashboard();
    await server.startRun('run-1');
    const reader = new Reader(dashboard);
    await reader.next();
    await server.record('run-1', { type: 'run-failed', code: 'X', message: 'it broke' });
    await server.startRun('run-2');
    server.current = 'run-2';
    server.clients = [status('b', { misfit: 'other joints' })];
    for (const listener of server.listeners) listener();
    const view = await reader.until(({ run, clients }) => run?.runId === 'run-2' && run.position === 4 && clients.has('b'));
    expect([...view.clients.keys()]).toEqual(['b']);
    expect(view.clients.get('b')!.misfit).toBe('other joints');
    expect(view.runs.get('run-1')).toMatchObject({ phase: 'failed', ending: 'it broke' });
  });

  it('says once that it cannot be brought up to date, and goes on when it can', async () => {
    const warnings: string[] = [];
    const quiet = (): void => undefined;
    const dashboard = await server.dashboard({ log: { debug: quiet, info: quiet, warn: (message) => warnings.push(message), error: quiet } });
    const summaries = vi.spyOn(server.ledger, 'summaries').mockRejectedValue(new Error('the disk is gone'));
    const reader = new Reader(dashboard);
    await reader.next();
    for (const listener of server.listeners) listener();
    await vi.waitFor(() => { expect(summaries.mock.calls.length).toBeGreaterThan(2); }, 20_000);
    expect(warnings).toEqual(['the page could not be brought up to date: the disk is gone; it is tried again']);
    summaries.mockRestore();
    for (const listener of server.listeners) listener();
    await reader.until(({ clients }) => clients.has('a'));
  });

  it('ends with its reader, and with the dashboard', async () => {
    const dashboard = await server.dashboard();
    const gone = new AbortController();
    const reader = dashboard.stream(undefined, gone.signal)[Symbol.asyncIterator]();
    await reader.next();
    const other = dashboard.stream(undefined, new AbortController().signal)[Symbol.asyncIterator]();
    await other.next();
    gone.abort();
    expect((await reader.next()).done).toBe(true);
    dashboard.close();
    expect((await other.next()).done).toBe(true);
  });
});

describe('what the page asks for', () => {
  it('is a run, or one of its rounds with all participants', async () => {
    const dashboard = await server.dashboard();
    await server.startRun('run-1');
    await server.record('run-1', { type: 'update-refused', round: 1, clientId: 'a', code: 'X', message: 'no' });
    expect(decodeRun((await dashboard.read('run', { run: 'run-1' }))['data'] as string)).toMatchObject({ runId: 'run-1', position: 5 });
    const round = decodeRound((await dashboard.read('round', { run: 'run-1', round: '1' }))['data'] as string);
    expect(round.participants!.get('a')).toMatchObject({ state: 'refused', reason: 'no' });
  });

  it.each([
    ['run', { run: 'another' }], ['run', {}], ['round', { run: 'run-1', round: '7' }], ['round', { run: 'run-1', round: '-1' }],
    ['round', { run: 'run-1', round: 'x' }], ['run', { run: 'run-1', more: 'x' }], ['constructor', {}], ['nothing', {}],
  ])('is refused where there is no such thing: %s %o', async (what, parameters) => {
    const dashboard = await server.dashboard();
    await server.startRun('run-1');
    await expect(dashboard.read(what, parameters)).rejects.toMatchObject({ code: 'PAGE_REQUEST_INVALID' });
  });
});

describe('what the page does', () => {
  it('is what an operator may do: submit, stop, pause and resume runs, exclude and readmit clients, approve and revoke nodes', async () => {
    const nodes = {
      listNodes: () => Promise.resolve([]),
      approveNode: (name: string) => Promise.resolve(server.done.push(['approve', name])),
      revokeNode: (name: string) => Promise.resolve(server.done.push(['revoke', name])),
    };
    const dashboard = await server.dashboard({ nodes });
    expect(await dashboard.act(operator, 'submit', { config: { rounds: 3 } })).toEqual({ runId: 'new' });
    expect(await dashboard.act(operator, 'stop', { run: 'run-1' })).toEqual({ runId: 'run-1' });
    await dashboard.act(operator, 'pause', { run: 'run-1' });
    await dashboard.act(operator, 'resume', { run: 'run-1' });
    await dashboard.act(operator, 'exclude', { run: 'run-1', client: 'a' });
    await dashboard.act(operator, 'readmit', { run: 'run-1', client: 'a' });
    await dashboard.act(operator, 'approve', { node: 'n' });
    await dashboard.act(operator, 'revoke', { node: 'n' });
    const part = { runId: 'run-1', clientId: 'a' };
    const changes = [{ change: 'pause', runId: 'run-1' }, { change: 'resume', runId: 'run-1' }, { change: 'exclude', ...part }, { change: 'readmit', ...part }];
    expect(server.done).toEqual([[operator.name, { rounds: 3 }], [`stopped by ${operator.name}`, 'run-1'], ...changes.map((change) => [operator.name, change]), ['approve', 'n'], ['revoke', 'n']]);
  });

  it.each([['stop', {}], ['stop', { run: 7 }], ['pause', {}], ['exclude', { run: 'run-1' }], ['exclude', { run: 'run-1', client: '../x' }], ['submit', {}], ['approve', { node: 'n' }], ['toString', {}], ['explode', {}]])('is nothing else: %s %o', async (action, input) => {
    const dashboard = await server.dashboard();
    await expect(dashboard.act(operator, action, input as JsonObject)).rejects.toMatchObject({ code: 'PAGE_REQUEST_INVALID' });
    expect(server.done).toEqual([]);
  });
});

describe('the files', () => {
  it('are a document, a script, a style sheet, an icon and licences; small, and from nowhere else', async () => {
    const files = await (await server.dashboard()).files();
    const document = Buffer.from(files.get('/')!.bytes).toString();
    const named = [...document.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
    expect(named).toHaveLength(3);
    for (const path of named) expect([...files.keys()]).toContain(path);
    const texts = [...files].filter(([path]) => !path.endsWith('licenses.txt')).map(([, { bytes }]) => Buffer.from(bytes).toString());
    // The only addresses in it are the names of XML's vocabularies.
    expect(texts.flatMap((text) => [...text.matchAll(/https?:\/\/[^\s"'`)]+/g)].map(([url]) => url)).filter((url) => !url.startsWith('http://www.w3.org/'))).toEqual([]);
    expect(document).not.toMatch(/<style|style=|<script(?![^>]*\bsrc=)|\son\w+=/);
    expect(Buffer.from(files.get('/page/files/licenses.txt')!.bytes).toString()).toMatch(/preact[\s\S]+uplot/);
    const gzipped = [...files].filter(([path]) => !path.endsWith('licenses.txt')).reduce((sum, [, { gzip }]) => sum + gzip.byteLength, 0);
    expect(gzipped).toBeLessThan(60_000);
  });
});

import { formatBytes, formatDuration, table, type Progress } from '@zk0/cli';
import { clientLoss, type RunEvent, type UpdateEncoding } from '@zk0/core';
import { encodingIn, namingClient, type FederationEvent } from '@zk0/federation';
import { formatRate } from '@zk0/rollout';
import type { SuccessRecord } from '../outputs/index.ts';

/** What one round came to, for the table at the end. */
interface RoundRow {
  policyLoss: number | null;
  clientLosses: number[];
  /** That updates were asked for in. */
  encodings: ReadonlySet<UpdateEncoding>;
  accepted: number;
  /** Of the updates that were accepted, as they were sent. */
  bytes: number;
  /** What clients say that they have fetched; private ones do not. */
  fetched: number[];
  refused: number;
  startedAt: number;
  seconds: number | null;
}

/** Turns a run's events into one live line while it goes on, a line per round, and a table at the end. */
export class RunReporter {
  readonly #progress: Progress;
  readonly #rows = new Map<number, RoundRow>();
  readonly #clients = new Map<string, string>();
  readonly #successes: SuccessRecord[] = [];
  #rounds = 0;
  #broadcast: UpdateEncoding = 'float32';
  /** Of parameters or an update as float32. */
  #wholeBytes = 0;
  #round = 0;
  #checkpoint: string | undefined;
  #ending: { readonly phase: 'finished' | 'failed' | 'stopped'; readonly message: string } | undefined;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  /** How the run ended; `undefined` while it goes on. */
  get ending(): { readonly phase: 'finished' | 'failed' | 'stopped'; readonly message: string } | undefined {
    return this.#ending;
  }

  /** The newest checkpoint that was written. */
  get checkpoint(): string | undefined {
    return this.#checkpoint;
  }

  /** Held-out loss of the initial model and after the last evaluated round. */
  get losses(): { readonly first: number; readonly last: number } | null {
    const evaluated = [...this.#rows.values()].flatMap(({ policyLoss }) => (policyLoss === null ? [] : [policyLoss]));
    return evaluated.length < 2 ? null : { first: evaluated[0]!, last: evaluated.at(-1)! };
  }

  /** The round with the lowest held-out loss, the earliest of several; `null` before the first that was evaluated. */
  get best(): { readonly round: number; readonly loss: number } | null {
    const evaluated = [...this.#rows].flatMap(([round, { policyLoss }]) => (round === 0 || policyLoss === null ? [] : [{ round, loss: policyLoss }]));
    return evaluated.sort((a, b) => a.loss - b.loss || a.round - b.round)[0] ?? null;
  }

  /** How often policies did their tasks, in the order in which it became known. */
  get successes(): readonly SuccessRecord[] {
    return this.#successes;
  }

  /** A policy was tried, some time after its round. */
  tried(record: SuccessRecord): void {
    this.#successes.push(record);
    this.#progress.print(`round ${record.round}: success ${formatRate(record)} in ${record.trials} trials`);
  }

  /** Takes one event of the stream. */
  take(event: FederationEvent): void {
    switch (event.kind) {
      case 'client-progress':
        this.#clients.set(event.clientId, `${event.phase} ${event.step}/${event.totalSteps}`);
        this.#showClients();
        return;
      case 'server-progress':
        this.#progress.update({ label: event.phase, done: event.step, total: event.totalSteps });
        return;
      case 'waiting':
        this.#progress.update({ label: 'waiting', detail: event.reason });
        return;
      case 'run':
        this.#runEvent(event.event, Date.parse(event.at));
    }
  }

  /** The loss table by round, to fit the terminal. */
  table(): string {
    const first = this.#rows.get(0)?.policyLoss ?? null;
    return table(
      [
        { header: 'round', align: 'right' },
        { header: 'held-out loss', align: 'right' },
        { header: 'change', align: 'right' },
        { header: 'client loss', align: 'right' },
        { header: 'clients', align: 'right' },
        { header: 'time', align: 'right' },
      ],
      [...this.#rows].map(([round, { policyLoss, clientLosses, accepted, refused, seconds }]) => [
        String(round),
        policyLoss === null ? '–' : policyLoss.toFixed(4),
        policyLoss === null || first === null || round === 0 ? '' : `${((policyLoss / first - 1) * 100).toFixed(0)} %`,
        clientLosses.length === 0 ? '' : mean(clientLosses).toFixed(4),
        round === 0 ? '' : `${accepted}/${accepted + refused}`,
        seconds === null ? '' : formatDuration(seconds),
      ]),
    );
  }

  #runEvent(event: RunEvent, at: number): void {
    switch (event.type) {
      case 'run-created':
        this.#rounds = event.config.rounds;
        this.#broadcast = event.config.broadcastEncoding;
        return;
      case 'run-paused':
        this.#progress.print(`the run was ${event.reason}: it rests after the round that is open, until it is resumed`);
        return;
      case 'run-resumed':
        this.#progress.print(`the run was ${event.reason}`);
        return;
      case 'client-excluded':
      case 'client-readmitted':
        this.#progress.print(`client ${event.clientId} was ${event.reason}`);
        return;
      case 'run-started':
        this.#wholeBytes = event.parameters.byteLength;
        return;
      case 'round-configured':
        this.#round = event.round;
        this.#clients.clear();
        this.#rows.set(event.round, { policyLoss: null, clientLosses: [], encodings: new Set(event.assignments.map(({ instructions }) => encodingIn(instructions))), accepted: 0, bytes: 0, fetched: [], refused: 0, startedAt: at, seconds: null });
        return;
      case 'update-accepted': {
        const loss = clientLoss(event.metrics);
        const row = this.#rows.get(event.round);
        if (row !== undefined) {
          row.accepted++;
          row.bytes += event.update.byteLength;
          if (event.metrics['bytes_down'] !== undefined) row.fetched.push(event.metrics['bytes_down']);
        }
        // Private updates come without a loss.
        if (loss !== undefined) row?.clientLosses.push(loss);
        this.#clients.set(event.clientId, 'done');
        return;
      }
      case 'update-refused': {
        const row = this.#rows.get(event.round);
        if (row !== undefined) row.refused++;
        this.#progress.print(`round ${event.round}: ${namingClient(event.clientId, event.message)}`);
        return;
      }
      case 'round-evaluated': {
        const policyLoss = event.evaluation?.policyLoss ?? null;
        if (event.round === 0) {
          this.#rows.set(0, { policyLoss, clientLosses: [], encodings: new Set(), accepted: 0, bytes: 0, fetched: [], refused: 0, startedAt: at, seconds: null });
          if (policyLoss !== null) this.#progress.print(`initial model: held-out loss ${policyLoss.toFixed(4)}`);
          return;
        }
        const row = this.#rows.get(event.round);
        if (row !== undefined) row.policyLoss = policyLoss;
        return;
      }
      case 'round-checkpointed': {
        this.#checkpoint = event.path ?? this.#checkpoint;
        const row = this.#rows.get(event.round);
        if (row === undefined) return;
        row.seconds = (at - row.startedAt) / 1000;
        const parts = [`round ${event.round}/${this.#rounds}`];
        if (row.policyLoss !== null) parts.push(`held-out loss ${row.policyLoss.toFixed(4)}`);
        if (row.clientLosses.length > 0) parts.push(`client loss ${mean(row.clientLosses).toFixed(4)}`);
        parts.push(...this.#costs(row));
        parts.push(formatDuration(row.seconds));
        this.#progress.print(parts.join(' · '));
        return;
      }
      case 'round-skipped':
        this.#progress.print(`round ${event.round}/${this.#rounds} skipped: ${event.reason}`);
        return;
      case 'run-finished':
        this.#checkpoint = event.checkpoint ?? this.#checkpoint;
        this.#ending = { phase: 'finished', message: event.early ?? 'all rounds are done' };
        return;
      case 'run-failed':
        this.#ending = { phase: 'failed', message: event.message };
        return;
      case 'run-stopped':
        this.#ending = { phase: 'stopped', message: event.reason };
        return;
      case 'participant-left':
        this.#progress.print(`round ${event.round}: client ${event.clientId} has left`);
        return;
      case 'participant-returned':
        this.#progress.print(`round ${event.round}: client ${event.clientId} is back`);
        return;
      case 'run-stop-requested':
      case 'secure-keys-advertised':
      case 'secure-shares-dealt':
      case 'secure-unmasked':
      case 'secure-stage-opened':
      case 'round-closed':
      case 'round-aggregated':
    }
  }

  /** What an encoded round has cost, beside what it would have cost as float32. */
  #costs({ encodings, accepted, bytes, fetched }: RoundRow): string[] {
    if (this.#wholeBytes === 0) return [];
    const cost = (what: string, each: number, encoding: string): string => `${what} ${formatBytes(each)} a client instead of ${formatBytes(this.#wholeBytes)} (${encoding})`;
    return [
      ...([...encodings].some((encoding) => encoding !== 'float32') && accepted > 0 ? [cost('sent', bytes / accepted, [...encodings].join(', '))] : []),
      ...(this.#broadcast !== 'float32' && fetched.length > 0 ? [cost('fetched', mean(fetched), this.#broadcast)] : []),
    ];
  }

  #showClients(): void {
    const detail = [...this.#clients]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, doing]) => `${id}: ${doing}`)
      .join('  ');
    this.#progress.update({ label: `round ${this.#round}/${this.#rounds}`, detail });
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

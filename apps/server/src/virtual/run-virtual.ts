import { setImmediate as microtasksOver } from 'node:timers/promises';
import { isFinal, type RunConfig, type RunState } from '@zk0/core';
import { Coordinator, Ledger, MemoryBlobs, MemoryLedgerStore, silentLog, type LedgerEntry } from '@zk0/federation';
import { drawClients, medianTaskSeconds, type ClientTraits, type Fleet } from './fleet.ts';
import { QuadraticProblem } from './quadratic.ts';
import { VirtualClient, type ClientTally } from './virtual-client.ts';
import { VirtualClock } from './virtual-clock.ts';
import { TRAINING_DEFAULTS, VirtualModel } from './virtual-model.ts';

/** A simulation's beginning: any moment will do, as long as it is always the same. */
const BEGINNING = Date.UTC(2026, 0, 1);
/** Clients that vanish are noticed after a minute, or a median task's time where that is longer: so many signs of life cost too much. */
const SILENCE_MS = 60_000;

/** What a simulation is of. */
export interface VirtualRunOptions {
  readonly clients: number;
  readonly fleet: Fleet;
  readonly config: RunConfig;
  /** For the engine's small files; the caller removes it. */
  readonly scratchDirectory: string;
  readonly signal?: AbortSignal;
  /** Called after each evaluated round. */
  readonly onRound?: (round: number, seconds: number, loss: number) => void;
}

/** The loss at a moment of the run. */
export interface LossPoint {
  readonly round: number;
  /** Virtual seconds since the run began. */
  readonly seconds: number;
  /** Above the optimum. */
  readonly loss: number;
  /** Of all clients until then. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Updates that counted until then. */
  readonly updates: number;
}

/** What came of a simulation. */
export interface VirtualOutcome {
  readonly state: RunState;
  readonly seconds: number;
  readonly losses: readonly LossPoint[];
  readonly clients: readonly { readonly traits: ClientTraits; readonly tally: ClientTally }[];
}

/**
 * Runs a federation of virtual clients on the real engine, strategies and ledger, in virtual time: nothing waits, and the same settings
 * and seed give the same bytes. What the server does itself takes no virtual time.
 *
 * @throws Zk0Error as the engine does; CancelledError when `signal` aborts.
 */
export async function runVirtual({ clients: count, fleet, config, scratchDirectory, signal, onRound }: VirtualRunOptions): Promise<VirtualOutcome> {
  const clock = new VirtualClock(BEGINNING);
  const traits = drawClients(fleet, count, config.seed);
  const problem = new QuadraticProblem(fleet.problem, traits.map(({ examples }) => examples), config.seed);
  const blobs = new MemoryBlobs(scratchDirectory);
  const ledger = await Ledger.open(new MemoryLedgerStore(), clock);
  const leases = { acquire: (name: string, holder: string) => Promise.resolve({ name, holder, expiresAt: Infinity }), release: () => Promise.resolve() };
  const silence = Math.max(SILENCE_MS, 1000 * medianTaskSeconds(fleet, config.localSteps ?? TRAINING_DEFAULTS.localSteps));
  const coordinator = new Coordinator({ ledger, leases, blobs, model: new VirtualModel(problem), scratchDirectory, clock, clientSilenceMs: silence, log: silentLog, openRun: () => ({ log: silentLog, observers: [] }) });
  const ending = new AbortController();
  let failure: { readonly error: unknown } | undefined;
  const onFailure = (error: unknown): void => void (failure ??= { error });
  const fleetClients = traits.map((own, index) => new VirtualClient({ traits: own, index, fleet, problem, coordinator, blobs, clock, seed: config.seed, onFailure }));
  const losses: LossPoint[] = [];
  let updates = 0;
  let started = clock.now();
  const listen = ({ event }: LedgerEntry): void => {
    switch (event.type) {
      case 'run-started':
        started = clock.now();
        break;
      case 'update-accepted':
        updates++;
        break;
      case 'round-closed':
      case 'round-configured':
        for (const client of fleetClients) if (client.task !== undefined) client.reportSoon();
        break;
      case 'round-evaluated': {
        if (event.evaluation === null) break;
        const [up, down] = [sum(fleetClients, 'bytesUp'), sum(fleetClients, 'bytesDown')];
        const seconds = (clock.now() - started) / 1000;
        losses.push({ round: event.round, seconds, loss: event.evaluation.policyLoss, bytesUp: up, bytesDown: down, updates });
        onRound?.(event.round, seconds, event.evaluation.policyLoss);
        break;
      }
    }
  };
  const unsubscribe = ledger.subscribe(listen);
  const serving = coordinator.run(ending.signal).catch(onFailure);
  try {
    for (const client of fleetClients) await client.join();
    const beat = async (): Promise<void> => {
      for (const client of fleetClients) await client.beat();
      clock.after(silence / 3, beat);
    };
    clock.after(silence / 3, beat);
    const runId = await coordinator.submit(config);
    for (;;) {
      // Whatever the engine can do without time passing, it does first.
      await microtasksOver();
      await coordinator.quiet();
      await microtasksOver();
      signal?.throwIfAborted();
      if (failure !== undefined) throw failure.error;
      const { state } = (await ledger.run(runId))!;
      if (isFinal(state)) {
        for (const client of fleetClients) client.stop();
        return { state, seconds: (clock.now() - started) / 1000, losses, clients: fleetClients.map(({ tally }, index) => ({ traits: traits[index]!, tally })) };
      }
      await clock.step();
    }
  } finally {
    unsubscribe();
    ending.abort();
    coordinator.close();
    for (const client of fleetClients) client.stop();
    await serving;
  }
}

function sum(clients: readonly VirtualClient[], what: 'bytesUp' | 'bytesDown'): number {
  return clients.reduce((total, { tally }) => total + tally[what], 0);
}

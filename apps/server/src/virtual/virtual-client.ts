import { deriveSeed, encodeParameters, Random, Zk0Error, type ClientPrincipal, type Parameters, type Task } from '@zk0/core';
import { fitTaskSchema, type Coordinator, type MemoryBlobs } from '@zk0/federation';
import { draw } from './distributions.ts';
import type { ClientTraits, Fleet } from './fleet.ts';
import { parametersOf, TENSOR } from './parameters.ts';
import type { QuadraticProblem } from './quadratic.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** What a client spends its time with. `useful` and `wasted`: on tasks whose updates counted and did not. */
export type Activity = 'waiting' | 'useful' | 'wasted' | 'away';

/** What came of one client. */
export interface ClientTally {
  /** Seconds. */
  readonly seconds: Record<Activity, number>;
  updates: number;
  steps: number;
  bytesDown: number;
  bytesUp: number;
  vanished: number;
}

/** What a virtual client needs of its surroundings. */
export interface VirtualClientOptions {
  readonly traits: ClientTraits;
  readonly index: number;
  readonly fleet: Fleet;
  readonly problem: QuadraticProblem;
  readonly coordinator: Coordinator;
  readonly blobs: MemoryBlobs;
  readonly clock: VirtualClock;
  readonly seed: number;
  /** Something failed that must not. */
  readonly onFailure: (error: unknown) => void;
}

/** How soon a client notices that its task is not wanted any more: the interval of the reports of real ones. */
const REPORT_MS = 1000;

/**
 * A client of a simulation: it joins the real engine, polls, and answers, all in virtual time. A task takes as long as its download, its
 * steps and its upload at this client's rates. It trains on the problem for real, or vanishes halfway and comes back later.
 */
export class VirtualClient {
  readonly tally: ClientTally = { seconds: { waiting: 0, useful: 0, wasted: 0, away: 0 }, updates: 0, steps: 0, bytesDown: 0, bytesUp: 0, vanished: 0 };
  readonly principal: ClientPrincipal;
  readonly #options: VirtualClientOptions;
  readonly #stop = new AbortController();
  #state: { readonly is: 'waiting' | 'away'; readonly since: number } | { readonly is: 'working'; readonly since: number; readonly task: Task; readonly callOff: () => void };
  /** How often a task was begun, for what is drawn of each. */
  #begun = 0;

  constructor(options: VirtualClientOptions) {
    this.#options = options;
    const { clientId } = options.traits;
    this.principal = { role: 'client', clientId, instance: clientId };
    this.#state = { is: 'waiting', since: options.clock.now() };
  }

  get isThere(): boolean {
    return this.#state.is !== 'away';
  }

  /** The task in hand. */
  get task(): Task | undefined {
    return this.#state.is === 'working' ? this.#state.task : undefined;
  }

  async join(): Promise<void> {
    const { coordinator, traits, clock } = this.#options;
    const reply = await coordinator.join(this.principal, { name: traits.clientId, agent: 'virtual', profile: { examples: traits.examples } });
    if (!reply.accepted) throw new Zk0Error(reply.code, reply.message);
    this.#state = { is: 'waiting', since: clock.now() };
    this.#poll();
  }

  /** A sign of life. */
  async beat(): Promise<void> {
    if (this.isThere) await this.#options.coordinator.heartbeat(this.principal, {});
  }

  /** Reports on its task soon, as real clients do all the time, and gives it up where the server does not want it any more. */
  reportSoon(): void {
    const { task } = this;
    this.#options.clock.after(REPORT_MS, async () => {
      const state = this.#state;
      if (state.is !== 'working' || state.task !== task) return;
      const progress = { taskId: state.task.taskId, phase: 'training', step: 0, totalSteps: 0 };
      const reply = await this.#options.coordinator.heartbeat(this.principal, { progress });
      if (reply.continue) return;
      state.callOff();
      this.#spend('wasted');
      this.#rest();
    });
  }

  /** Ends what it is at, at the end of a simulation. */
  stop(): void {
    this.#stop.abort();
    if (this.#state.is === 'working') {
      this.#state.callOff();
      this.#spend('wasted');
    } else this.#spend(this.#state.is);
  }

  #poll(): void {
    const { coordinator, onFailure } = this.#options;
    coordinator.poll(this.principal, this.#stop.signal).then((task) => {
      return task !== null && this.#state.is === 'waiting' ? this.#begin(task) : undefined;
    }).catch(onFailure);
  }

  async #begin(task: Task): Promise<void> {
    const { traits, fleet, clock, seed, coordinator, blobs } = this.#options;
    this.#spend('waiting');
    await coordinator.authorizeDownload(this.principal, task.parameters.hash);
    const global = blobs.inMemory(task.parameters.hash);
    if (global === undefined) throw new Zk0Error('BLOB_NOT_FOUND', `the parameters of task ${task.taskId} are gone while it is open`);
    const { fit } = fitTaskSchema.parse(task.instructions);
    const random = new Random(deriveSeed(seed, 'virtual task', traits.clientId, this.#begun++));
    const training = (fit.localSteps / traits.stepsPerSecond) * Math.exp(fleet.jitter * random.normal());
    const [down, up] = [fleet.megabytesDown * 1e6, fleet.megabytesUp * 1e6];
    const seconds = down / traits.downRate + training + up / traits.upRate;
    this.tally.bytesDown += down;
    const vanishes = random.uniform() < fleet.dropout;
    const callOff = vanishes
      ? clock.after(seconds * random.uniform() * 1000, () => { this.#vanish(draw(fleet.awaySeconds, random)); })
      : clock.after(seconds * 1000, () => this.#finish(task, global));
    this.#state = { is: 'working', since: clock.now(), task, callOff };
  }

  async #finish(task: Task, global: Uint8Array): Promise<void> {
    const { traits, index, problem, coordinator, blobs, fleet } = this.#options;
    const { runId, round, taskId, attempt } = task;
    const { fit } = fitTaskSchema.parse(task.instructions);
    const { w, loss } = problem.train(index, parametersOf(global), fit, new Random(deriveSeed(fit.seed, 'virtual training')));
    const update = await blobs.put(encodeParameters(new Map([[TENSOR, { shape: [w.length], data: w }]]) satisfies Parameters));
    this.tally.bytesUp += fleet.megabytesUp * 1e6;
    try {
      await coordinator.authorizeUpload(this.principal, update);
    } catch (error) {
      if (!(error instanceof Zk0Error) || error.code !== 'FORBIDDEN') throw error;
      // The round went on without it; its next report would have said so.
      this.#spend('wasted');
      this.#rest();
      return;
    }
    const answer = await coordinator.result(this.principal, {
      taskId, runId, round, attempt,
      outcome: { ok: true, update, numExamples: traits.examples, metrics: { policy_loss: loss } },
    });
    const counted = answer.status === 'accepted';
    if (answer.status === 'rejected') throw new Zk0Error(answer.code ?? 'UPDATE_REFUSED', `client ${traits.clientId}: ${answer.message ?? 'its update was refused'}`);
    if (counted) {
      this.tally.updates++;
      this.tally.steps += fit.localSteps;
    }
    this.#spend(counted ? 'useful' : 'wasted');
    this.#rest();
  }

  #vanish(seconds: number): void {
    const { clock } = this.#options;
    this.tally.vanished++;
    this.#spend('wasted');
    this.#state = { is: 'away', since: clock.now() };
    clock.after(seconds * 1000, () => {
      this.#spend('away');
      return this.join();
    });
  }

  #rest(): void {
    this.#state = { is: 'waiting', since: this.#options.clock.now() };
    this.#poll();
  }

  /** Books the time since its state began. */
  #spend(activity: Activity): void {
    const now = this.#options.clock.now();
    this.tally.seconds[activity] += (now - this.#state.since) / 1000;
    this.#state = { ...this.#state, since: now };
  }
}


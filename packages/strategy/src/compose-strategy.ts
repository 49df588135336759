import type { TensorSpec } from '@zk0/core';
import { acceptDeclared, acceptInspected, type AcceptedUpdates } from './accept-updates.ts';
import { checkParameters, operands, type UpdateGuards } from './check-update.ts';
import { pairDistances, planCombine } from './combine-updates.ts';
import type {
  AggregationInput,
  AggregationOptions,
  AggregationOutput,
  AggregationResult,
  FitContext,
  FitPlan,
  Scalars,
  Strategy,
  UpdateBuffer,
} from './contract.ts';
import { isAveraged, type Operand } from './engine/operands.ts';
import { runPass, type PassRunner } from './engine/pass.ts';
import { sharedPasses } from './engine/pass-sharing.ts';
import { withExecutor } from './engine/pool.ts';
import { AggregationError } from './errors.ts';
import { OPTIMIZER_STATE } from './kernels/optimizers.ts';
import { REPLACE, stepsTaken, type ServerOptimizer } from './optimizers.ts';
import type { PrivacyMechanism, PrivateRound } from './privacy/mechanism.ts';
import { roundMetrics } from './round-metrics.ts';
import type { CheckedUpdate, Combination, Rule } from './rules/rule.ts';
import { scheduled, type ScheduleOptions } from './schedule/schedule.ts';

/** What a strategy is made of. Only the rule is necessary. */
export interface StrategyParts {
  readonly name: string;
  readonly rule: Rule;
  readonly optimizer?: ServerOptimizer;
  readonly privacy?: PrivacyMechanism | null;
  /** FedProx's μ for the clients; 0 by default. */
  readonly proximalMu?: number;
  readonly schedule?: ScheduleOptions | null;
  /** SCAFFOLD: keeps the server's control variate from the clients' `control` tensors. */
  readonly controlVariates?: boolean;
  readonly guards?: UpdateGuards;
  /** Smallest fraction of the asked clients that must have given a usable update; 0 by default. */
  readonly minCompletionRate?: number;
}

/** State tensors of SCAFFOLD's server. */
const CONTROL = 'control';

/** Makes a strategy from parts: the way to one's own (see the README). */
export function composeStrategy(parts: StrategyParts): Strategy {
  return new ComposedStrategy(parts);
}

class ComposedStrategy implements Strategy {
  readonly name: string;
  readonly minUpdates: number;
  readonly buffer: UpdateBuffer | null;
  readonly takesUnequalSteps: boolean;
  readonly needsSumOnly: boolean;
  readonly guards: UpdateGuards;
  readonly needsNoiseSecret: boolean;
  readonly isPrivate: boolean;
  readonly broadcastState: readonly string[];
  readonly #parts: StrategyParts;
  readonly #optimizer: ServerOptimizer;

  constructor(parts: StrategyParts) {
    this.#parts = parts;
    this.#optimizer = parts.optimizer ?? REPLACE;
    this.name = parts.name;
    this.minUpdates = Math.max(parts.rule.minUpdates, parts.privacy?.minUpdates ?? 1);
    this.buffer = parts.rule.buffer ?? null;
    this.takesUnequalSteps = parts.rule.takesUnequalSteps === true && (parts.privacy ?? null) === null && parts.controlVariates !== true;
    this.needsSumOnly = parts.rule.needsSumOnly === true && (parts.privacy ?? null) === null && parts.controlVariates !== true;
    this.guards = { ...parts.guards, ...(parts.controlVariates === true && { needsControl: true }) };
    this.needsNoiseSecret = parts.privacy?.needsNoiseSecret ?? false;
    this.isPrivate = (parts.privacy ?? null) !== null;
    this.broadcastState = parts.controlVariates === true ? [CONTROL] : [];
  }

  stateSpecs(parameters: readonly TensorSpec[]): readonly TensorSpec[] {
    return [...OPTIMIZER_STATE[this.#optimizer.kind], ...this.broadcastState].flatMap((prefix) =>
      parameters.map(({ name, shape }): TensorSpec => ({ name: `${prefix}/${name}`, dtype: 'F32', shape })),
    );
  }

  configureFit(context: FitContext): FitPlan {
    const { privacy, schedule, proximalMu = 0 } = this.#parts;
    privacy?.admit(context.scalars, context.clientIds.length);
    if (schedule !== undefined && schedule !== null) return scheduled(schedule, context, proximalMu);
    const { clientIds, learningRate } = context;
    return {
      clients: new Map(clientIds.map((clientId) => [clientId, { learningRate, proximalMu }])),
      learningRate,
      proximalMu,
      reasons: [],
    };
  }

  async aggregate(input: AggregationInput, output: AggregationOutput, options: AggregationOptions = {}): Promise<AggregationResult> {
    checkParameters(input.global.specs);
    this.#checkState(input);
    if (this.needsNoiseSecret) this.#parts.privacy!.assertSecret(input.noiseSecret);
    const { workers = 0, signal, sharing } = options;
    return withExecutor(workers, (executor) =>
      this.#aggregate(input, output, sharing === undefined ? (pass) => runPass(pass, executor, signal) : sharedPasses(executor, signal, sharing)),
    );
  }

  async #aggregate(
    input: AggregationInput,
    output: AggregationOutput,
    run: PassRunner,
  ): Promise<AggregationResult> {
    const { rule } = this.#parts;
    const declared = acceptDeclared(input, rule, this.guards);
    const inspect = (): Promise<AcceptedUpdates> => acceptInspected(declared, input, this.guards, run);
    if (!this.#canFoldUnread(declared, output)) return this.#fold(input, output, await inspect(), run);
    try {
      return await this.#fold(input, output, declared, run);
    } catch (error) {
      if (!(error instanceof AggregationError && error.code === 'NON_FINITE_RESULT')) throw error;
      // Either an update is not finite, and is left out now that it is known which, or the server's optimiser diverged.
      const inspected = await inspect();
      if (inspected.accepted.length === declared.accepted.length) throw error;
      output.parameters.restart!();
      output.state?.restart!();
      return this.#fold(input, output, inspected, run);
    }
  }

  /**
   * Whether updates that nobody has read may be folded at once: something not finite among them shows in the result, which can then
   * be written again. Otherwise they are read twice.
   */
  #canFoldUnread({ accepted }: AcceptedUpdates, { parameters, state }: AggregationOutput): boolean {
    const unread = accepted.filter(({ inspection }) => inspection === undefined);
    if (unread.length === 0) return true;
    const needsNorms = this.#parts.rule.needsNorms !== false || (this.#parts.privacy ?? null) !== null;
    const canRestart = parameters.restart !== undefined && (state === null || state.restart !== undefined);
    return canRestart && !needsNorms && this.guards.maxUpdateNorm === undefined && unread.every(({ control }) => control === undefined);
  }

  async #fold(
    input: AggregationInput,
    output: AggregationOutput,
    { accepted, excluded }: AcceptedUpdates,
    run: PassRunner,
  ): Promise<AggregationResult> {
    this.#checkCounts({ accepted, excluded }, input.failures ?? 0);
    const distances = (): Promise<(a: number, b: number) => number> => pairDistances(input, accepted, run);
    const combination = await this.#parts.rule.combine({ updates: accepted, distances });
    const norms = accepted.map(({ norm }) => norm);
    const privateRound = this.#parts.privacy?.round(norms, input.scalars, input.noiseSecret, input.round) ?? null;
    const norm = await this.#write(input, output, accepted, combination, privateRound, run);
    const population = this.#parts.controlVariates === true ? await writeControl(input, output, accepted, run) : undefined;
    return {
      metrics: {
        ...roundMetrics(accepted, this.isPrivate),
        ...privateRound?.metrics,
        num_clients: clientsOf(accepted),
        param_update_norm: norm,
      },
      scalars: { ...this.#nextScalars(input.scalars, privateRound), ...(population !== undefined && { population }) },
      excluded: [...excluded, ...(combination.excluded ?? [])],
    };
  }

  /** Runs the last pass and returns ‖new − old‖. */
  async #write(
    input: AggregationInput,
    output: AggregationOutput,
    updates: readonly CheckedUpdate[],
    combination: Combination,
    privateRound: PrivateRound | null,
    run: PassRunner,
  ): Promise<number> {
    const global = operands(input.global);
    const prefixes = OPTIMIZER_STATE[this.#optimizer.kind];
    const stateOperands = (tensor: string): Operand[] =>
      input.state === null ? [] : prefixes.map((prefix) => ({ source: input.state!, name: `${prefix}/${tensor}`, dtype: 'F32' }));
    const stateCount = input.state === null ? 0 : prefixes.length;
    const planned = planCombine(combination, updates, privateRound?.scales ?? null, 1 + stateCount);
    const sigma = privateRound?.sigma(this.#parts.rule.boundedBy?.(updates.length) ?? NaN) ?? 0;
    let sumOfSquares = 0;
    await run({
      tensors: input.global.specs,
      isBound: planned.combine.kind === 'custom',
      kernel: {
        kind: 'aggregate',
        stateCount,
        combine: planned.combine,
        noise: privateRound?.noiseKey == null || sigma === 0 ? null : { sigma, key: privateRound.noiseKey },
        optimizer: this.#optimizer.step(stepsTaken(input.scalars) + 1),
      },
      operands: ({ name }) => [global(name), ...stateOperands(name), ...planned.operands(name)],
      results: ({ name, dtype }) => [
        ...(isAveraged(dtype) ? [{ sink: output.parameters, name, dtype }] : []),
        ...prefixes.map((prefix) => ({ sink: output.state!, name: `${prefix}/${name}`, dtype: 'F32' as const })),
      ],
      reduce: ([nonFinite, squares], { tensor }) => {
        if (nonFinite! > 0) {
          throw new AggregationError('NON_FINITE_RESULT', `tensor ${tensor}: ${nonFinite!} or more new values, of it or of the server optimiser's state, are not finite`, {
            hint: 'The server optimiser diverged: lower its learning rate.',
          });
        }
        sumOfSquares += squares!;
      },
    });
    return Math.sqrt(sumOfSquares);
  }

  #checkCounts({ accepted, excluded }: AcceptedUpdates, failures: number): void {
    const { minCompletionRate = 0 } = this.#parts;
    const failed = failures + excluded.length;
    const count = clientsOf(accepted);
    const why = excluded.map(({ reason }) => reason).join('; ');
    if (count < this.minUpdates || count === 0) {
      throw new AggregationError(
        'TOO_FEW_UPDATES',
        `${count} usable updates, ${this.name} needs ${this.minUpdates}${why === '' ? '' : ` (left out: ${why})`}`,
        { hint: 'Skip the round; ask more clients, or choose a rule that needs fewer.' },
      );
    }
    if (count / (count + failed) < minCompletionRate) {
      throw new AggregationError(
        'TOO_MANY_FAILURES',
        `${count} of ${count + failed} clients gave a usable update, minCompletionRate is ${minCompletionRate}`,
        { hint: 'Skip the round and look at why the clients failed.' },
      );
    }
  }

  #checkState({ global, state, scalars }: AggregationInput): void {
    const expected = this.stateSpecs(global.specs);
    if (state === null) {
      if (expected.length > 0 && stepsTaken(scalars) > 0) {
        throw new AggregationError('STATE_MISMATCH', `round ${stepsTaken(scalars) + 1} of ${this.name} without its state tensors`);
      }
      return;
    }
    const present = new Map(state.specs.map((spec) => [spec.name, spec]));
    for (const { name, shape } of expected) {
      const found = present.get(name);
      if (found?.dtype !== 'F32' || found.shape.join() !== shape.join()) {
        throw new AggregationError('STATE_MISMATCH', `state tensor ${name} is missing or of another shape`, {
          hint: 'The state belongs to another model or another strategy: start the run anew.',
        });
      }
    }
  }

  #nextScalars(scalars: Scalars, privateRound: PrivateRound | null): Scalars {
    return { ...scalars, step: stepsTaken(scalars) + 1, ...privateRound?.scalars };
  }
}

/** Clients whose updates these are. */
function clientsOf(updates: readonly CheckedUpdate[]): number {
  return updates.reduce((sum, { clients = 1 }) => sum + clients, 0);
}

/**
 * SCAFFOLD's server: `c ← c + (n/N)·mean(Δc_k) = c + Σ Δc_k / N`. Where clients have joined since the last round, c is the mean over
 * fewer: it is scaled by `N_then / N`, so that it stays the mean of all clients' variates. N never falls, for the variates of those
 * who are away still count.
 *
 * @returns N.
 */
async function writeControl(
  input: AggregationInput,
  output: AggregationOutput,
  updates: readonly CheckedUpdate[],
  run: PassRunner,
): Promise<number> {
  const known = typeof input.scalars['population'] === 'number' ? input.scalars['population'] : 0;
  const population = Math.max(input.population ?? 0, updates.length, known);
  const controls = updates.map(({ control }) => operands(control!));
  const before = (tensor: string): Operand[] =>
    input.state === null ? [] : [{ source: input.state, name: `${CONTROL}/${tensor}`, dtype: 'F32' }];
  await run({
    tensors: input.global.specs,
    kernel: { kind: 'sum', coefficients: [...(input.state === null ? [] : [(known || population) / population]), ...controls.map(() => 1 / population)] },
    operands: ({ name }) => [...before(name), ...controls.map((control) => control(name))],
    results: ({ name }) => [{ sink: output.state!, name: `${CONTROL}/${name}`, dtype: 'F32' }],
  });
  return population;
}

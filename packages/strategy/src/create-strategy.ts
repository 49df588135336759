import { compareNames, type Metrics } from '@zk0/core';
import { checkDeclared, checkParameters, inspectUpdate, operands, type UpdateInspection } from './check-update.ts';
import { parseStrategyConfig, type StrategyConfigInput } from './config.ts';
import type { AggregationInput, ClientUpdate, ExcludedUpdate, FitContext, FitPlan, Strategy } from './contract.ts';
import { InlineExecutor } from './engine/executor.ts';
import { isAveraged } from './engine/operands.ts';
import { runPass } from './engine/pass.ts';
import { AggregationError, UpdateRejectedError } from './errors.ts';


/**
 * Makes a strategy from its configuration (as it stands in a run's configuration: checked here).
 *
 * @throws StrategyConfigError when it is not valid.
 */
export function createStrategy(config: StrategyConfigInput | { readonly name: string }): Strategy {
  const parsed = parseStrategyConfig(config);
  const proximalMu = parsed.name === 'fedprox' ? parsed.proximalMu : 0;
  return {
    name: parsed.name,
    minUpdates: 1,
    guards: {
      ...(parsed.guards.maxUpdateNorm === undefined ? {} : { maxUpdateNorm: parsed.guards.maxUpdateNorm }),
      ...(parsed.guards.acceptedDtypes === undefined ? {} : { acceptedDtypes: parsed.guards.acceptedDtypes }),
    },
    broadcastState: [],
    stateSpecs: () => [],
    configureFit: (context) => configureFit(context, proximalMu),
    async aggregate(input, output, options = {}) {
      checkParameters(input.global.specs);
      const executor = new InlineExecutor();
      try {
        const { accepted, excluded } = await acceptUpdates(input, this.guards, executor, options.signal);
        if (accepted.length < this.minUpdates) {
          throw new AggregationError('TOO_FEW_UPDATES', `${accepted.length} usable updates, ${parsed.name} needs ${this.minUpdates}`);
        }
        const global = operands(input.global);
        const sources = accepted.map(({ update }) => operands(update.tensors));
        let sumOfSquares = 0;
        await runPass(
          {
            tensors: input.global.specs,
            kernel: {
              kind: 'aggregate',
              stateCount: 0,
              optimizer: { kind: 'replace' },
              combine: {
                kind: 'linear',
                terms: accepted.map(({ update }, index) => ({ operand: 1 + index, coefficient: update.numExamples })),
                divisor: totalExamples(accepted),
                globalCoefficient: deltaShare(accepted),
              },
            },
            operands: ({ name }) => [global(name), ...sources.map((operand) => operand(name))],
            results: ({ name, dtype }) => (isAveraged(dtype) ? [{ sink: output.parameters, name, dtype }] : []),
            reduce: ([nonFinite, squares], block) => {
              if (nonFinite! > 0) throw new AggregationError('NON_FINITE_RESULT', `tensor ${block.tensor}: ${nonFinite!} values are not finite`);
              sumOfSquares += squares!;
            },
          },
          executor,
          options.signal,
        );
        return {
          metrics: {
            ...meanMetrics(accepted.map(({ update }) => update)),
            num_clients: accepted.length,
            param_update_norm: Math.sqrt(sumOfSquares),
          },
          scalars: {},
          excluded,
        };
      } finally {
        await executor.close();
      }
    },
  };
}

interface Accepted {
  readonly update: ClientUpdate;
  readonly inspection: UpdateInspection;
}

function totalExamples(accepted: readonly Accepted[]): number {
  return accepted.reduce((sum, { update }) => sum + update.numExamples, 0);
}

/** The share of the mean that updates given as differences leave to the global parameters. */
function deltaShare(accepted: readonly Accepted[]): number {
  const examples = accepted.reduce((sum, { update }) => sum + (update.kind === 'delta' ? update.numExamples : 0), 0);
  return examples / totalExamples(accepted);
}

async function acceptUpdates(
  input: AggregationInput,
  guards: Strategy['guards'],
  executor: InlineExecutor,
  signal: AbortSignal | undefined,
): Promise<{ readonly accepted: readonly Accepted[]; readonly excluded: readonly ExcludedUpdate[] }> {
  const accepted: Accepted[] = [];
  const excluded: ExcludedUpdate[] = [];
  const seen = new Set<string>();
  const sorted = [...input.updates].sort((a, b) => compareNames(a.clientId, b.clientId));
  for (const update of sorted) {
    try {
      if (seen.has(update.clientId)) {
        throw new UpdateRejectedError('UPDATE_DUPLICATE_CLIENT', update.clientId, 'a second update of the same round');
      }
      seen.add(update.clientId);
      checkDeclared(update, input.global.specs, guards);
      const context = { global: input.global, guards, ...(signal === undefined ? {} : { signal }) };
      accepted.push({ update, inspection: update.inspection ?? (await inspectUpdate(update, context, executor)) });
    } catch (error) {
      if (!(error instanceof UpdateRejectedError)) throw error;
      excluded.push({ clientId: error.clientId, code: error.code, reason: error.message });
    }
  }
  return { accepted, excluded };
}

/** Example-weighted means of the metrics that every client reported. */
function meanMetrics(updates: readonly ClientUpdate[]): Metrics {
  const names = Object.keys(updates[0]?.metrics ?? {}).filter((name) => updates.every(({ metrics }) => name in metrics));
  const total = updates.reduce((sum, { numExamples }) => sum + numExamples, 0);
  return Object.fromEntries(
    names.map((name) => [name, updates.reduce((sum, { metrics, numExamples }) => sum + metrics[name]! * numExamples, 0) / total]),
  );
}

function configureFit({ clientIds, learningRate }: FitContext, proximalMu: number): FitPlan {
  return {
    clients: new Map(clientIds.map((clientId) => [clientId, { learningRate, proximalMu }])),
    learningRate,
    proximalMu,
    reasons: [],
  };
}

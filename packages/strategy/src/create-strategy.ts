import { composeStrategy, type StrategyParts } from './compose-strategy.ts';
import {
  parseStrategyConfig,
  type OptimizerConfig,
  type PrivacyConfig,
  type RuleConfig,
  type StrategyConfig,
  type StrategyConfigInput,
} from './config.ts';
import type { Strategy } from './contract.ts';
import { adagrad, adam, heavyBall, nesterov, yogi, type ServerOptimizer } from './optimizers.ts';
import { PrivacyMechanism } from './privacy/mechanism.ts';
import { bufferedMean, examplesMean, fairMean } from './rules/mean.ts';
import { bulyan, krum, meanAroundMedian, median, trimmedMean } from './rules/robust.ts';
import type { Rule } from './rules/rule.ts';
import { scheduleOptions } from './schedule/config.ts';

/**
 * Makes a strategy from its configuration (as it stands in a run's configuration: checked here).
 *
 * @throws StrategyConfigError when it is not valid, or its parts make no sense together.
 */
export function createStrategy(config: StrategyConfigInput | { readonly name: string }): Strategy {
  const parsed = parseStrategyConfig(config);
  const { maxUpdateNorm, acceptedDtypes, maxControlNorm } = parsed.guards;
  return composeStrategy({
    ...partsOf(parsed),
    name: nameOf(parsed),
    guards: {
      ...(maxUpdateNorm === undefined ? {} : { maxUpdateNorm }),
      ...(acceptedDtypes === undefined ? {} : { acceptedDtypes }),
      ...(maxControlNorm === undefined ? {} : { maxControlNorm }),
    },
    minCompletionRate: parsed.minCompletionRate,
    schedule: parsed.schedule === undefined ? null : scheduleOptions(parsed.schedule),
  });
}

type AnyConfig = StrategyConfig | PrivacyConfig | OptimizerConfig | RuleConfig;

/** E.g. `dp-fixed(fedavgm(fedmedian))`; FedAvg, every wrapper's default, goes without saying. */
function nameOf(config: AnyConfig): string {
  if (!('inner' in config) || config.inner.name === 'fedavg') return config.name;
  return `${config.name}(${nameOf(config.inner)})`;
}

function partsOf(config: AnyConfig): Omit<StrategyParts, 'name'> {
  switch (config.name) {
    case 'dp-fixed':
    case 'dp-adaptive':
      return { ...partsOf(config.inner), privacy: privacyOf(config) };
    case 'fedavgm':
    case 'fedmom':
    case 'diloco':
    case 'fedadagrad':
    case 'fedadam':
    case 'fedyogi':
      return { ...partsOf(config.inner), optimizer: optimizerOf(config) };
    case 'fault-tolerant-fedavg':
      return { rule: examplesMean('fedavg') };
    default:
      return {
        rule: ruleOf(config),
        proximalMu: config.name === 'fedprox' ? config.proximalMu : 0,
        controlVariates: config.name === 'scaffold',
      };
  }
}

function ruleOf(config: RuleConfig): Rule {
  switch (config.name) {
    case 'fedavg':
    case 'fedprox':
    case 'scaffold':
      return examplesMean(config.name);
    case 'fedmedian':
      return median();
    case 'fedtrimmedavg':
      return trimmedMean(config.beta);
    case 'meamed':
      return meanAroundMedian(config.count);
    case 'krum':
      return krum('krum', config.malicious, 1);
    case 'multikrum':
      return krum('multikrum', config.malicious, config.keep);
    case 'bulyan':
      return bulyan(config.malicious);
    case 'qfedavg':
      return fairMean(config.q, config.learningRate);
    case 'fedbuff':
      return bufferedMean(config.bufferSize, config.maxStaleness);
  }
}

function optimizerOf(config: OptimizerConfig): ServerOptimizer {
  switch (config.name) {
    case 'fedavgm':
      return heavyBall(config.learningRate, config.momentum);
    case 'fedmom':
    case 'diloco':
      return nesterov(config.learningRate, config.momentum);
    case 'fedadagrad':
      return adagrad(config.learningRate, config.tau);
    case 'fedadam':
      return adam(config.learningRate, config.beta1, config.beta2, config.tau);
    case 'fedyogi':
      return yogi(config.learningRate, config.beta1, config.beta2, config.tau);
  }
}

function privacyOf(config: PrivacyConfig): PrivacyMechanism {
  const { noiseMultiplier, budget, poissonRate } = config;
  const clipping =
    config.name === 'dp-fixed'
      ? { kind: 'fixed' as const, norm: config.clippingNorm }
      : {
          kind: 'adaptive' as const,
          initialNorm: config.initialClippingNorm,
          targetQuantile: config.targetQuantile,
          learningRate: config.clippingLearningRate,
          countStddev: config.countStddev,
        };
  return new PrivacyMechanism({ noiseMultiplier, clipping, budget, poissonRate });
}

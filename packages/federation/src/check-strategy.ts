import { InvalidArgumentError, parseStopRule, type RunConfig } from '@zk0/core';
import { MIN_HOLDERS } from '@zk0/secure-aggregation';
import { createStrategy, type Strategy } from '@zk0/strategy';

/** What the choice of a strategy must fit. */
type StrategySettings = Pick<RunConfig, 'strategy' | 'minClients' | 'loraRank' | 'loraAlpha' | 'clientOptimizer' | 'overSelection' | 'localStepsBySpeed' | 'updateEncoding' | 'broadcastEncoding' | 'secureAggregation'>;

/**
 * Refuses a run whose strategy could only fail later.
 *
 * @throws Zk0Error saying what does not fit.
 */
export function checkStrategy({ strategy: settings, minClients, updateEncoding, broadcastEncoding, ...run }: StrategySettings): void {
  const strategy = createStrategy(settings);
  if (run.loraRank === undefined && run.loraAlpha !== undefined) {
    throw new InvalidArgumentError('loraAlpha: the run has no loraRank, and trains no factors', { hint: 'Give --lora-rank, too.' });
  }
  if (run.loraRank !== undefined && strategy.guards.needsControl === true) {
    throw new InvalidArgumentError(`strategy ${strategy.name}: its control variates correct gradients of weights, and the run trains factors of low rank (loraRank ${run.loraRank})`, {
      hint: 'Choose another strategy, such as fedavg, or leave --lora-rank out.',
    });
  }
  if (run.loraRank !== undefined && run.clientOptimizer === 'keep') {
    throw new InvalidArgumentError(`clientOptimizer keep: the run trains factors of low rank (loraRank ${run.loraRank}), which begin anew in every round, and so must the moments of their gradients`, {
      hint: 'Leave --client-optimizer keep out, or --lora-rank.',
    });
  }
  if (updateEncoding !== 'float32') checkEncoding(updateEncoding, strategy, run.loraRank);
  if (broadcastEncoding !== 'float32' && strategy.guards.needsControl === true) throw besideControl('broadcastEncoding', broadcastEncoding, strategy);
  if (run.secureAggregation !== undefined) checkSecure(strategy, { ...run, minClients, updateEncoding });
  if (strategy.minUpdates > minClients) {
    throw new InvalidArgumentError(
      `strategy ${strategy.name} needs ${strategy.minUpdates} updates, the run starts with ${minClients} clients`,
      { hint: `Raise minClients (in a simulation --clients) to ${strategy.minUpdates}.` },
    );
  }
  if (strategy.buffer !== null && run.overSelection > 0) {
    throw new InvalidArgumentError(`overSelection ${run.overSelection}: strategy ${strategy.name} waits for no client, and needs none to spare`, { hint: 'Leave overSelection out.' });
  }
  if (run.localStepsBySpeed !== undefined && !strategy.takesUnequalSteps) {
    throw new InvalidArgumentError(`localStepsBySpeed: strategy ${strategy.name} compares or clips the updates as they are, and those of unequal numbers of steps cannot be compared`, {
      hint: 'Choose fedavg, fedprox or fedbuff, or a server optimiser around one of them.',
    });
  }
  if (settings['poissonRate'] !== undefined) {
    throw new InvalidArgumentError('poissonRate: a run chooses a fixed number of clients, which does not count in privacy’s favour', {
      hint: 'Leave poissonRate out: the privacy spent is then accounted as if every client took part.',
    });
  }
}

/** Encoded updates are differences of weights; where something else is sent, or beside them, they do not do what they are for. */
function checkEncoding(encoding: string, strategy: Strategy, loraRank: number | undefined): void {
  if (loraRank !== undefined) {
    throw new InvalidArgumentError(`updateEncoding ${encoding}: the run trains factors of low rank (loraRank ${loraRank}), which begin anew in every round and have no base to be a difference to`, {
      hint: 'Leave --update-encoding out, or --lora-rank: factors are small as they are.',
    });
  }
  if (strategy.guards.needsControl === true) throw besideControl('updateEncoding', encoding, strategy);
}

/** Secure aggregation shows the server a weighted sum of changes of weights, and nothing of a single update. */
function checkSecure(strategy: Strategy, { minClients, updateEncoding, loraRank, localStepsBySpeed }: Pick<StrategySettings, 'minClients' | 'updateEncoding' | 'loraRank' | 'localStepsBySpeed'>): void {
  const refuse = (why: string, hint: string): InvalidArgumentError => new InvalidArgumentError(`secureAggregation: ${why}`, { hint });
  if (!strategy.needsSumOnly) {
    throw refuse(`strategy ${strategy.name} needs single updates, and the server sees their sum alone`, 'Choose fedavg, fedprox, or a server optimiser around one of them, such as diloco or fedadam.');
  }
  if (strategy.guards.maxUpdateNorm !== undefined) throw refuse('guards.maxUpdateNorm looks at single updates, and the server sees their sum alone', 'Leave it out: no value counts as more than secureAggregation.clip.');
  if (minClients < MIN_HOLDERS) throw refuse(`minClients is ${minClients}, and of a sum of two each client knows the other’s update`, `Raise minClients (in a simulation --clients) to ${MIN_HOLDERS} or more.`);
  if (updateEncoding !== 'float32') throw refuse(`updates are sent as masked whole numbers, which cannot be in the encoding ${updateEncoding}, too`, 'Leave --update-encoding out.');
  if (loraRank !== undefined) throw refuse(`the run trains factors of low rank (loraRank ${loraRank}), and a sum of factors is not the factors of a sum`, 'Leave --lora-rank out.');
  if (localStepsBySpeed !== undefined) throw refuse('localStepsBySpeed weighs each update by its steps when it is there, and the server sees their sum alone', 'Leave --local-steps-by-speed out.');
}

function besideControl(setting: string, encoding: string, { name }: Strategy): InvalidArgumentError {
  return new InvalidArgumentError(`${setting} ${encoding}: strategy ${name} also sends control variates, which are as large as the weights and stay float32`, {
    hint: `Choose another strategy, such as fedavg, or leave ${setting} out.`,
  });
}

/**
 * Refuses a run that could only fail later, or whose stop rule could never hold.
 *
 * @throws Zk0Error saying what does not fit.
 */
export function checkRun(config: StrategySettings & Pick<RunConfig, 'stopWhen' | 'heldOut'>): void {
  checkStrategy(config);
  if (config.stopWhen === undefined) return;
  for (const { metric } of parseStopRule(config.stopWhen)) {
    if (metric !== 'clientLoss' && config.heldOut.length === 0) {
      throw new InvalidArgumentError(`stopWhen: ${metric} needs held-out datasets, and the run has none`, { hint: 'Name one with --held-out.' });
    }
    if (metric === 'clientLoss' && createStrategy(config.strategy).isPrivate) {
      throw new InvalidArgumentError('stopWhen: in a private run clients report no loss', { hint: 'Use heldOutLoss or noImprovement.' });
    }
  }
}

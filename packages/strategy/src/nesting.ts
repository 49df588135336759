import { StrategyConfigError } from './errors.ts';

const OPTIMIZERS = new Set(['fedavgm', 'fedmom', 'diloco', 'fedadagrad', 'fedadam', 'fedyogi']);
const PRIVACY = new Set(['dp-fixed', 'dp-adaptive']);

/** Rules that differential privacy cannot go around, with why. */
const NOT_PRIVATE: ReadonlyMap<string, string> = new Map([
  ['meamed', 'which values lie nearest the median depends on every client, so clipping does not bound what one of them changes'],
  ['krum', 'it passes on one chosen update whole, so the noise would have to hide a full clipping norm, not one n-th'],
  ['multikrum', 'which updates it chooses depends on every client, so clipping does not bound what one of them changes'],
  ['bulyan', 'which updates it chooses depends on every client, so clipping does not bound what one of them changes'],
  ['qfedavg', 'it weighs updates by the clients’ losses, which are neither clipped nor noised'],
  ['scaffold', 'the control variates would leave the clients neither clipped nor noised'],
  ['fedbuff', 'the accountant counts rounds of chosen clients, and a buffer has none'],
]);

/**
 * Refuses combinations of strategies that make no sense, before options are looked at.
 *
 * @throws StrategyConfigError with the reason.
 */
export function checkNesting(config: unknown): void {
  const names = nestedNames(config);
  for (const [depth, name] of names.entries()) {
    const within = names[depth + 1];
    if (within === undefined) return;
    if (PRIVACY.has(within)) {
      throw refusal(name, within, 'clients must be clipped and noise added before anything else sees the updates', `put ${within} outermost`);
    }
    if (OPTIMIZERS.has(name) && OPTIMIZERS.has(within)) {
      throw refusal(name, within, 'each takes the server’s step, and the outer one would mistake the inner step for the clients’ mean', 'choose one');
    }
    if (OPTIMIZERS.has(name) && within === 'qfedavg') {
      throw refusal(name, within, 'q-FedAvg’s own step size already is the server’s step', 'use qfedavg alone');
    }
    const rule = names.at(-1)!;
    const reason = PRIVACY.has(name) ? NOT_PRIVATE.get(rule) : undefined;
    if (reason !== undefined) {
      throw refusal(name, rule, reason, 'use fedavg, fedprox, fedtrimmedavg or fedmedian inside, with or without an optimiser');
    }
  }
}

/** The names from the outermost strategy inwards, as far as they are there. */
function nestedNames(config: unknown): string[] {
  const names: string[] = [];
  let level = config;
  // Deeper than this nothing can be valid, and a hostile configuration could go on for ever.
  while (names.length < 8 && typeof level === 'object' && level !== null && 'name' in level && typeof level.name === 'string') {
    names.push(level.name);
    level = 'inner' in level ? level.inner : undefined;
  }
  return names;
}

function refusal(outer: string, inner: string, reason: string, hint: string): StrategyConfigError {
  return new StrategyConfigError(`${outer} around ${inner} makes no sense: ${reason}`, { hint });
}

import { suggestion } from '@zk0/cli';
import { InvalidArgumentError, type RunConfig } from '@zk0/core';
import { commonStrategyOptions, describeStrategies } from '@zk0/strategy';

/** They do not change while a program runs, and reading them off the schemas takes milliseconds. */
let known: { readonly strategies: ReturnType<typeof describeStrategies>; readonly common: ReturnType<typeof commonStrategyOptions> } | undefined;

/**
 * Refuses a strategy or an option that does not exist, with the nearest that does; values are checked where the strategy is made.
 *
 * @throws InvalidArgumentError
 */
export function checkStrategyOptions({ name, ...options }: RunConfig['strategy']): void {
  known ??= { strategies: describeStrategies(), common: commonStrategyOptions() };
  const all = known.strategies;
  const strategy = all.find((one) => one.name === name);
  if (strategy === undefined) {
    throw new InvalidArgumentError(`there is no strategy ${JSON.stringify(name)}`, { hint: suggestion(name, all.map((one) => one.name)) });
  }
  const names = [...strategy.options, ...known.common].map((option) => option.name);
  const unknown = Object.keys(options).find((option) => !names.includes(option));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`strategy ${name} has no option ${JSON.stringify(unknown)}`, { hint: suggestion(unknown, names) });
  }
}

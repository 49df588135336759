import { InvalidArgumentError } from '@zk0/core';
import { suggestion } from '@zk0/cli';
import { commonStrategyOptions, describeStrategies, type StrategyOption } from '@zk0/strategy';
import { Command } from 'commander';
import type { Run } from './run-action.ts';

/** `zk0-server strategies`: what `--strategy` and the settings under `strategy` take. */
export function strategiesCommand(run: Run): Command {
  return new Command('strategies')
    .description('Show the strategies with their options, what each takes, and defaults. Set one with --set strategy.<option>=<value>.')
    .argument('[name]', 'one strategy')
    .option('--json', 'for scripts')
    .action((name: string | undefined, { json }: { readonly json?: boolean }) => {
      run(() => {
        process.stdout.write(strategiesText(name, json === true));
        return Promise.resolve(undefined);
      });
    });
}

/** What the command prints. @throws InvalidArgumentError for a strategy that does not exist */
export function strategiesText(name: string | undefined, json: boolean): string {
  const all = describeStrategies();
  const shown = name === undefined ? all : all.filter((one) => one.name === name);
  if (shown.length === 0) throw new InvalidArgumentError(`there is no strategy ${JSON.stringify(name)}`, { hint: suggestion(name ?? '', all.map((one) => one.name)) });
  const common = commonStrategyOptions();
  if (json) return `${JSON.stringify({ strategies: shown, common }, null, 2)}\n`;
  const sections = shown.map(({ name: title, about, needsSumOnly, options }) => [`${title}: ${about}${needsSumOnly ? ' (also with secureAggregation)' : ''}`, ...options.map(line)].join('\n'));
  return `${[...sections, ['every strategy', ...common.map(line)].join('\n')].join('\n\n')}\n`;
}

function line({ name, takes, default: value, required }: StrategyOption): string {
  const otherwise = required ? 'required' : value === undefined ? 'optional' : `default ${JSON.stringify(value)}`;
  return `  ${name}: ${takes} (${otherwise})`;
}

import { UsageError } from './errors.ts';

/** The part of commander's `Command` that {@link quietCommander} needs. */
export interface CommandLike {
  readonly commands: readonly CommandLike[];
  exitOverride(): unknown;
  configureOutput(configuration: { outputError: (text: string, write: (text: string) => void) => void }): unknown;
}

/**
 * Makes a commander program throw instead of printing and exiting, with all its sub-commands: `runCli` then reports an
 * unknown flag as it reports every other error. Call it after all commands are defined.
 */
export function quietCommander<C extends CommandLike>(program: C): C {
  program.exitOverride();
  program.configureOutput({ outputError: () => undefined });
  for (const command of program.commands) quietCommander(command);
  return program;
}

/** What commander throws once it may not exit by itself. */
export interface CommanderErrorLike {
  readonly code: string;
  readonly exitCode: number;
  readonly message: string;
}

export function isCommanderError(thrown: unknown): thrown is CommanderErrorLike {
  return (
    thrown instanceof Error &&
    'code' in thrown &&
    typeof thrown.code === 'string' &&
    thrown.code.startsWith('commander.') &&
    'exitCode' in thrown
  );
}

/** Commander's complaint as ours; its suggestion, which stands in brackets on a second line, becomes the hint. */
export function toUsageError(error: CommanderErrorLike): UsageError {
  const [first = '', ...more] = error.message.replace(/^error: /, '').split('\n');
  const said = /\((Did you mean .*\?)\)/.exec(more.join(' '))?.[1];
  return new UsageError(first, { hint: said ?? 'See --help', cause: error });
}

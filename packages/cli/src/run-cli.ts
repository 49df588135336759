import * as modules from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';
import { CancelledError } from '@zk0/core/errors';
import { isDetached } from './background/detach.ts';
import { isCommanderError, toUsageError } from './commander.ts';
import { errorLine } from './error-line.ts';
import { EXIT_CODE, exitCodeOf } from './exit-code.ts';
import { zk0Home } from './home.ts';
import { requireNode } from './node-version.ts';
import { clearLiveLines } from './progress.ts';

/** Options of {@link runCli}. */
export interface RunCliOptions {
  /** Codes and stacks with errors. @default whether `--verbose` is on the command line */
  readonly verbose?: boolean;
}

/** Why a command was asked to end: the signal that arrived. */
class Interruption extends CancelledError {
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super('the command');
    this.signal = signal;
  }
}

/**
 * The exit code of a program that runs until it is told to stop, once it has stopped in order. SIGTERM is that request: 0. Ctrl-C keeps
 * its own code.
 */
export function serviceExitCode(signal: AbortSignal): number | undefined {
  const reason: unknown = signal.reason;
  return reason instanceof Interruption && reason.signal === 'SIGTERM' ? EXIT_CODE.ok : undefined;
}

/** Something that keeps the process alive after `main` is done gets this long before the process ends anyway. */
const LINGER_MS = 2000;
/** One Ctrl-C may arrive several times at once: from the terminal, and again from an npm that passes it on. */
const SAME_PRESS_MS = 500;

/**
 * Runs a command line program to its exit code.
 *
 * `main` gets a signal that is aborted by the first Ctrl-C, SIGTERM or SIGHUP, or when the reader of stdout goes away
 * (`zk0-server logs -f | head`); it then has all the time it needs to save and stop. A second one ends the process at once.
 * What `main` throws becomes one line on stderr. It may return an exit code of its own.
 */
export async function runCli(
  main: (signal: AbortSignal) => Promise<number | undefined>,
  options: RunCliOptions = {},
): Promise<void> {
  const verbose = options.verbose ?? process.argv.includes('--verbose');
  // Compiling takes a third of a command's start. Kept in the user's own folder: what lies in one that all users share, others could have
  // put there. A Node that is too old for us may not have it, and is told so below.
  (modules as Partial<typeof modules>).enableCompileCache?.(join(zk0Home(), 'compiled'));
  // Log lines and stacks of a bundled program name the places its authors know.
  process.setSourceMapsEnabled(true);
  const controller = new AbortController();
  let interruption: number | undefined;
  let interruptedAt = 0;

  const interrupt = (signal: NodeJS.Signals): void => {
    const code = 128 + constants.signals[signal];
    if (interruption !== undefined) {
      if (performance.now() - interruptedAt > SAME_PRESS_MS) process.exit(code);
      return;
    }
    interruption = code;
    interruptedAt = performance.now();
    if (signal !== 'SIGPIPE') clearLiveLines();
    if (signal !== 'SIGPIPE' && !isDetached()) process.stderr.write('stopping; press Ctrl-C again to quit at once\n');
    controller.abort(new Interruption(signal));
  };
  const report = (thrown: unknown): number => {
    if (isCommanderError(thrown)) {
      // Help and version are printed already: because they were asked for, or in place of a missing command.
      if (thrown.exitCode === 0) return EXIT_CODE.ok;
      if (thrown.code === 'commander.help') return EXIT_CODE.usage;
      return report(toUsageError(thrown));
    }
    if (interruption !== undefined && isCancellation(thrown)) return interruption;
    clearLiveLines();
    process.stderr.write(`${errorLine(thrown, verbose)}\n`);
    return exitCodeOf(thrown);
  };
  const crash = (thrown: unknown): void => {
    process.exit(report(thrown));
  };

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') interrupt('SIGPIPE');
    else crash(error);
  });
  // Without a reader of stderr there is nobody left to tell.
  process.stderr.on('error', () => undefined);
  process.on('uncaughtException', crash);

  try {
    requireNode();
    process.exitCode = (await main(controller.signal)) ?? interruption ?? EXIT_CODE.ok;
  } catch (thrown) {
    process.exitCode = report(thrown);
  }
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

function isCancellation(thrown: unknown): boolean {
  return thrown instanceof CancelledError || (thrown instanceof Error && thrown.name === 'AbortError');
}

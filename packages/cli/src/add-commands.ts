import { Command } from 'commander';

/**
 * Adds the commands of a program, loading the code of the one that is asked for alone. For all others, and for a `--help` of the whole
 * program, a name and a summary do.
 *
 * @param commands name → summary and what makes the command
 * @param aliases other name → name
 * @param run handed to the command that is loaded
 */
export async function addCommands<R>(
  program: Command,
  commands: Readonly<Record<string, readonly [summary: string, load: (run: R) => Promise<Command>]>>,
  aliases: Readonly<Record<string, string>>,
  run: R,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  // `help NAME` shows the same as `NAME --help`.
  const [first = '', second = ''] = argv;
  const asked = first === 'help' ? second : first;
  const wanted = Object.hasOwn(aliases, asked) ? aliases[asked]! : asked;
  for (const [name, [summary, load]] of Object.entries(commands)) {
    program.addCommand(name === wanted ? (await load(run)).summary(summary) : new Command(name).description(summary));
  }
}

import { InvalidArgumentError } from '@zk0/core';
import type { Command } from 'commander';

/** How recordings are read, as said on a command line. */
export interface RecordingOptions<Unit extends string> {
  /** Name of a camera as recorded → name that the policy takes; absent where nothing is renamed. */
  readonly rename?: Readonly<Record<string, string>>;
  /** What the joints' values mean; absent where it is to be inferred. */
  readonly units?: Unit;
}

/** Adds `--rename`, which every command has that brings cameras to a policy. */
export function withRenameOption(command: Command): Command {
  return command.option('--rename <from=to>', 'camera as recorded = camera of the policy (repeatable)', (value: string, before: readonly string[]) => [...before, value], []);
}

/** Adds `--rename` and `--units`, which every command has that reads recordings for a policy. */
export function withRecordingOptions(command: Command, conventions: readonly string[]): Command {
  return withUnitsOption(withRenameOption(command), conventions);
}

/** Adds `--units`. */
export function withUnitsOption(command: Command, conventions: readonly string[]): Command {
  return command.option('--units <convention>', `what the joints' values mean, where it cannot be inferred: ${conventions.join(', ')}`);
}

/**
 * Reads `--rename` and `--units`, which may be absent.
 *
 * @param options as commander gives them
 * @throws InvalidArgumentError saying what is wrong with which of them
 */
export function readRecordingOptions<Unit extends string>(options: Readonly<Record<string, unknown>>, conventions: readonly Unit[]): RecordingOptions<Unit> {
  const rename = parseRenames((options['rename'] as readonly string[] | undefined) ?? []);
  const units = parseUnits(options['units'] as string | undefined, conventions);
  return { ...(Object.keys(rename).length > 0 && { rename }), ...(units !== undefined && { units }) };
}

/** `from=to` pairs as a map. @throws InvalidArgumentError */
export function parseRenames(pairs: readonly string[]): Readonly<Record<string, string>> {
  const renames = new Map<string, string>();
  for (const pair of pairs) {
    const [from, to, ...rest] = pair.split('=');
    if (!from || !to || rest.length > 0) {
      throw new InvalidArgumentError(`--rename ${pair} is not of the form from=to`, {
        hint: 'For example --rename observation.images.front=observation.images.top.',
      });
    }
    const other = renames.get(from);
    if (other !== undefined && other !== to) throw new InvalidArgumentError(`--rename gives ${from} two names, ${other} and ${to}`, { hint: 'Give every camera one name.' });
    renames.set(from, to);
  }
  return Object.fromEntries(renames);
}

function parseUnits<Unit extends string>(text: string | undefined, conventions: readonly Unit[]): Unit | undefined {
  const found = conventions.find((convention) => convention === text);
  if (text === undefined || found !== undefined) return found;
  throw new InvalidArgumentError(`--units ${text} is not known`, { hint: `Choose from ${conventions.join(', ')}.` });
}

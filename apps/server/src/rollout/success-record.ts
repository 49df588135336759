import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { replaceFile } from '@zk0/cli';
import type { SuccessView } from '@zk0/dashboard';
import type { RolloutReport } from '@zk0/rollout';
import * as z from 'zod';
import { RunPaths } from '../outputs/paths.ts';
import { clipsOf } from './filmed-trials.ts';

const successSchema = z.strictObject({
  checkpoint: z.string(),
  tasks: z.array(z.string()).max(100),
  trials: z.int().min(0),
  successes: z.int().min(0),
  rate: z.number(),
  low: z.number(),
  high: z.number(),
  seed: z.string(),
  at: z.iso.datetime(),
});
const fileSchema = z.array(successSchema).max(100_000);
type RecordedSuccess = z.infer<typeof successSchema>;

type Measured = Pick<RolloutReport, 'trials' | 'successes' | 'rate' | 'low' | 'high' | 'seed'>;

/** Where a run keeps how often its checkpoints did their tasks. */
const fileOf = (runDirectory: string): string => join(new RunPaths(runDirectory).server, 'success.json');

function recorded(runDirectory: string): readonly RecordedSuccess[] {
  const file = fileOf(runDirectory);
  if (!existsSync(file)) return [];
  try {
    return fileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    // It is made of commands' results, which can be had again; a damaged one is replaced by the next.
    return [];
  }
}

/**
 * Keeps how often a checkpoint did its tasks with its run, in place of what was kept of it before: the page shows it.
 *
 * @param checkpoint - `OUT/RUN/models/NAME`; anything else is of no run, and nothing is kept
 */
export function recordSuccess(checkpoint: string, tasks: readonly string[], { trials, successes, rate, low, high, seed }: Measured): void {
  const directory = resolve(checkpoint.replace(/^local:/, ''));
  const run = dirname(dirname(directory));
  if (basename(dirname(directory)) !== 'models' || !existsSync(new RunPaths(run).config) || !existsSync(new RunPaths(run).server)) return;
  const name = basename(directory);
  const one: RecordedSuccess = { checkpoint: name, tasks: [...tasks], trials, successes, rate, low, high, seed, at: new Date().toISOString() };
  replaceFile(fileOf(run), `${JSON.stringify([...recorded(run).filter((other) => other.checkpoint !== name), one], null, 2)}\n`);
}

/** How often checkpoints of a run did their tasks. */
export function successesOf(runDirectory: string): readonly SuccessView[] {
  return recorded(runDirectory).map(({ checkpoint, tasks, trials, successes, rate, low, high }) => ({
    checkpoint, tasks, trials, successes, rate, low, high, clips: clipsOf(runDirectory, checkpoint),
  }));
}

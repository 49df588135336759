import { readRecordingOptions, withRecordingOptions } from '@zk0/cli';
import { runConfigSchema, type RunConfig } from '@zk0/core';
import { UNIT_CONVENTIONS } from '@zk0/dataset-so100';
import type { Command } from 'commander';
import * as z from 'zod';
import { checkStrategyOptions } from './strategy-options.ts';

/** Where the server listens and what it runs on. */
const serverSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1'),
  port: z.int().min(0).max(65_535).default(9092),
  /** Runs' outputs go below it. */
  out: z.string().min(1).default('outputs'),
  /** Execution provider for evaluation. */
  device: z.string().min(1).default('auto'),
  /** Element type of matrix products in evaluation. */
  precision: z.enum(['auto', 'float32', 'float16', 'bfloat16']).default('auto'),
  threads: z.int().min(1).max(1024).optional(),
  /** Where ledger, leases, clients and tasks are; a file of this machine unless given. */
  backend: z.string().min(1).optional(),
  /** Where parameters and updates are; a folder of this machine unless given. */
  blobs: z.string().min(1).optional(),
  /** What this process does of a server's work, where several share a backend. */
  role: z.enum(['all', 'front', 'aggregate']).default('all'),
  /** Parts that a pass of an aggregation is cut into for the processes that share a backend; 1: whoever drives the run does all of it. */
  shards: z.int().min(1).max(1024).optional(),
  /** Passes that read fewer bytes are not shared. */
  shardBytes: z.int().min(0).default(64 * 2 ** 20),
  /** Serve plain HTTP beyond loopback. */
  insecure: z.boolean().default(false),
  /** Trackers that get the figures of every run; see `parseTracker` of `@zk0/trackers`. */
  track: z.array(z.string().min(1)).max(10).default([]),
});

/** `zk0.yaml`: a run's settings at the top level, the server's own under `server`. */
export const configSchema = runConfigSchema.extend({ server: serverSchema.prefault({}) });
export type Config = z.output<typeof configSchema>;

/** The run's part of a configuration. */
export function runConfigOf(config: Config, heldOut: readonly string[] = config.heldOut): RunConfig {
  return runConfigSchema.parse({
    ...Object.fromEntries(Object.entries(config).filter(([key]) => key !== 'server')),
    heldOut: [...heldOut],
  });
}

/** {@link runConfigOf}, for a configuration that is about to run: its strategy's name and options are looked up first. */
export function checkedRunConfig(config: Config, heldOut: readonly string[] = config.heldOut): RunConfig {
  checkStrategyOptions(config.strategy);
  return runConfigOf(config, heldOut);
}

/** Adds the flags that every command with a configuration has. */
export function withConfigOptions(command: Command): Command {
  return command
    .option('--config <file>', 'YAML file with settings')
    .option('--set <key=value>', 'set any setting, e.g. strategy.name=fedavg (repeatable)', collect, [])
    .option('--verbose', 'more output; error codes and stacks with errors');
}

/** Adds `--track`, which every command has that drives runs. */
export function withTrackOption(command: Command): Command {
  return command.option('--track <address>', 'send figures to mlflow:URL, trackio:URL or wandb:PROJECT, too; credentials from the environment (repeatable)', collect, []);
}

/** The trackers of {@link withTrackOption}, unless none are given. */
export function trackFlag(options: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  const track = options['track'] as readonly string[];
  return track.length === 0 ? undefined : track;
}

/** Adds the flags that describe a run. */
export function withRunOptions(command: Command): Command {
  return withRecordingOptions(command, UNIT_CONVENTIONS)
    .option('--rounds <n>', 'federated rounds', Number)
    .option('--policy <name|path>', 'policy preset or checkpoint')
    .option('--strategy <name>', 'aggregation strategy')
    .option('--local-steps <n>', 'optimiser steps per client and round', Number)
    .option('--local-epochs <n>', 'the same, as the original called them', Number)
    .option('--local-steps-by-speed <factor>', 'give each client as many steps as its measured speed says, --local-steps in the mean, and at most so many times as many or as few (default: all make the same number)', Number)
    .option('--batch-size <n>', 'samples per step', Number)
    .option('--learning-rate <x>', 'peak learning rate of a round', Number)
    .option('--client-optimizer <keep|restart>', 'keep AdamW’s moments at each client from round to round, or restart it in every round (default: restart)')
    .option('--lora-rank <n>', 'train factors of this rank, 16 to 256, in place of the weights (LoRA; default: the weights); 128 or more do best', Number)
    .option('--lora-alpha <x>', 'the product of the factors counts so much by its rank (default: as much as the rank)', Number)
    .option('--update-encoding <name>', 'how clients send updates: float32, bfloat16, int8, int4, ternary, compressed, delta (without loss), or auto (by each one’s connection) (default: float32)')
    .option('--broadcast-encoding <name>', 'how clients that hold the parameters of the round before get the new ones (default: float32)')
    .option('--secure-aggregation', 'clients mask their updates, and the server sees their sum alone (default: it sees each; settings: secureAggregation.clip, …)')
    .option('--augment <k>', 'train on so many variants of each image beside it: colour, sharpness, small shifts (default: none)', Number)
    .option('--seed <n>', 'fixes everything random', Number)
    .option('--min-clients <n>', 'clients that must be there to start, and updates that a round needs', Number)
    .option('--fraction <x>', 'fraction of the clients that trains in a round', Number)
    .option('--round-deadline-seconds <n>', 'a round closes with what has arrived after so many seconds (default: 3600)', Number)
    .option('--evaluate-every <n>', 'evaluate every so many rounds, and after the last', Number)
    .option('--evaluate-batches <n>', 'batches for each held-out dataset; 0: all', Number)
    .option('--checkpoint-every <n>', 'save a checkpoint every so many rounds, and after the last', Number)
    .option('--stop-when <rule>', 'finish before the last round, e.g. "heldOutLoss<0.8" or "noImprovement>=5" (evaluations)')
    .option('--rollout <demo:task>', 'try the policy at a task while the run goes on, e.g. demo:cube-to-bowl?fps=5&place=each (repeatable)', collect, [])
    .option('--rollout-every <n>', 'rounds between two tries, and after the last (default: 20)', Number)
    .option('--rollout-trials <n>', 'trials of each try, over all tasks and places (default: 60)', Number)
    .option('--push-to <owner/name>', 'hub repository that the newest checkpoint is pushed to when the run has finished (HF_TOKEN of the server)')
    .option('--held-out <uri>', 'dataset to evaluate on, nobody trains on it (repeatable)', collect, []);
}

/** The flags of {@link withRunOptions} as settings; those not given are absent. */
export function runFlags(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const heldOut = options['heldOut'] as string[];
  return {
    rounds: options['rounds'],
    policy: options['policy'],
    strategy: options['strategy'] === undefined ? undefined : { name: options['strategy'] },
    localSteps: options['localSteps'] ?? options['localEpochs'],
    localStepsBySpeed: options['localStepsBySpeed'],
    batchSize: options['batchSize'],
    learningRate: options['learningRate'],
    clientOptimizer: options['clientOptimizer'],
    loraRank: options['loraRank'],
    loraAlpha: options['loraAlpha'],
    updateEncoding: options['updateEncoding'],
    broadcastEncoding: options['broadcastEncoding'],
    // With what `--set` says of it.
    secureAggregation: options['secureAggregation'] === true ? {} : undefined,
    augment: options['augment'],
    seed: options['seed'],
    minClients: options['minClients'],
    fraction: options['fraction'],
    roundDeadlineSeconds: options['roundDeadlineSeconds'],
    evaluateEvery: options['evaluateEvery'],
    evaluateBatches: options['evaluateBatches'],
    checkpointEvery: options['checkpointEvery'],
    maxParallel: options['maxParallel'],
    ...readRecordingOptions(options, UNIT_CONVENTIONS),
    stopWhen: options['stopWhen'],
    rollouts: rolloutFlags(options),
    pushTo: options['pushTo'],
    heldOut: heldOut.length === 0 ? undefined : heldOut,
  };
}

/** The other two flags without a task are settings without one, which is refused by name. */
function rolloutFlags(options: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined {
  const given = { every: options['rolloutEvery'], trials: options['rolloutTrials'] };
  const tasks = (options['rollout'] ?? []) as string[];
  if (tasks.length === 0 && given.every === undefined && given.trials === undefined) return undefined;
  return { ...given, tasks: tasks.length === 0 ? undefined : tasks };
}

/** Gathers a repeatable option. */
export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

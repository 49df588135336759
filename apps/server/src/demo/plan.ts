import { join } from 'node:path';
import { findTask, placesOf } from '@zk0/demo-so100';

/** What the demo does. */
export interface DemoSettings {
  readonly task: string;
  /** Frames and actions per second: an episode is some 40 frames, so that a chunk of 16 covers a movement. */
  readonly fps: number;
  /** Demonstrations in each home. */
  readonly episodes: number;
  readonly rounds: number;
  /** Optimiser steps in each home and round; a home alone makes `rounds × localSteps`. */
  readonly localSteps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Steps between two restarts of AdamW in the trainings without a server. */
  readonly soloRoundSteps: number;
  readonly trials: number;
  readonly seed: number;
}

/** A quarter of an hour on two cores. */
export const QUICK: Omit<DemoSettings, 'seed'> = {
  task: 'cube-to-bowl',
  fps: 5,
  episodes: 10,
  rounds: 250,
  localSteps: 10,
  batchSize: 8,
  learningRate: 1.5e-3,
  soloRoundSteps: 10,
  trials: 120,
};

/** Half an hour on two cores. */
export const FULL: Omit<DemoSettings, 'seed'> = { ...QUICK, rounds: 490 };

/** One way to get a policy: who trains on what. */
export interface DemoPolicy {
  /** `together`, `all data in one place`, `alone: left`, … */
  readonly name: string;
  readonly slug: string;
  readonly datasets: readonly string[];
}

/** A home: where its thing lies, and its recordings. */
export interface Home {
  readonly place: string;
  readonly dataset: string;
}

/** Three homes with one task, each with a place of its own for the thing. */
export function homesOf({ task, fps, episodes, seed }: DemoSettings): readonly Home[] {
  return placesOf(findTask(task)).map((place, index) => ({
    place,
    dataset: `demo:${task}?episodes=${episodes}&seed=${seed + index}&fps=${fps}&place=${place}`,
  }));
}

/** The trainings that need no server: each home by itself, and everything in one place. */
export function soloPolicies(homes: readonly Home[]): readonly DemoPolicy[] {
  return [
    ...homes.map(({ place, dataset }) => ({ name: `alone: ${place}`, slug: `alone_${place}`, datasets: [dataset] })),
    { name: 'all data in one place', slug: 'centralised', datasets: homes.map(({ dataset }) => dataset) },
  ];
}

/** The address that policies are tried at: all places in turn. */
export function taskAddress({ task, fps }: DemoSettings): string {
  return `demo:${task}?fps=${fps}&place=each`;
}

/** Arguments of `zk0-server simulate` for the federated run. */
export function federatedArguments(settings: DemoSettings, homes: readonly Home[], out: string): string[] {
  const { rounds, localSteps, batchSize, learningRate, seed } = settings;
  const set = (key: string, value: unknown): string[] => ['--set', `${key}=${String(value)}`];
  return [
    'simulate',
    ...['--clients', String(homes.length), '--hold-out', '0', '--out', out, '--seed', String(seed)],
    ...homes.flatMap(({ dataset }) => ['--dataset', dataset]),
    ...['--rounds', String(rounds), '--local-steps', String(localSteps), '--batch-size', String(batchSize)],
    ...['--learning-rate', String(learningRate), '--strategy', 'fedavg'],
    ...set('strategy.schedule', '{decay: {kind: cosine, final: 0.1}}'),
    ...set('evaluateEvery', rounds),
    ...set('checkpointEvery', rounds),
  ];
}

/** Arguments of `zk0-client train` for one of {@link soloPolicies}. */
export function soloArguments(settings: DemoSettings, policy: DemoPolicy, out: string): string[] {
  const { rounds, localSteps, soloRoundSteps, batchSize, learningRate, seed } = settings;
  return [
    'train',
    ...policy.datasets.flatMap((dataset) => ['--dataset', dataset]),
    ...['--steps', String(rounds * localSteps), '--round-steps', String(soloRoundSteps), '--batch-size', String(batchSize)],
    ...['--learning-rate', String(learningRate), '--seed', String(seed), '--device', 'cpu', '--threads', '1', '--out', out],
  ];
}

/** Arguments of `zk0-server rollout` for a checkpoint. */
export function rolloutArguments(settings: DemoSettings, checkpoint: string, video: string, withBaselines: boolean): string[] {
  const { trials, seed } = settings;
  return [
    'rollout',
    ...['--policy', checkpoint, '--task', taskAddress(settings), '--trials', String(trials), '--seed', String(seed)],
    ...['--device', 'cpu', '--threads', '1', '--video', video, '--json'],
    ...(withBaselines ? [] : ['--no-baselines']),
  ];
}

/** Where the pieces of a demo go. */
export function demoPaths(out: string): {
  readonly federated: string;
  readonly solo: (slug: string) => string;
  readonly clips: (slug: string) => string;
  readonly chart: string;
  readonly results: string;
  readonly log: (slug: string) => string;
} {
  return {
    federated: join(out, 'together'),
    solo: (slug) => join(out, slug),
    clips: (slug) => join(out, 'clips', slug),
    chart: join(out, 'success.png'),
    results: join(out, 'success.json'),
    log: (slug) => join(out, 'logs', `${slug}.log`),
  };
}

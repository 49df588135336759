import { join } from 'node:path';

/** What a home has learned to do, and where the thing lies there. */
export interface DemoTaskPlace {
  readonly task: string;
  readonly place: string;
}

/** What the demo does. */
export interface DemoSettings {
  /** What each home does. Every policy is tried at all of it. */
  readonly tasks: readonly DemoTaskPlace[];
  /** Frames and actions per second: an episode is some 40 frames, so that a chunk of 16 covers a movement. */
  readonly fps: number;
  /** Demonstrations in each home. */
  readonly episodes: number;
  readonly rounds: number;
  /** Optimiser steps in each home and round; a home alone makes `rounds × localSteps`. */
  readonly localSteps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** How the server aggregates. */
  readonly strategy: string;
  /** Steps between two restarts of AdamW in the trainings without a server. */
  readonly soloRoundSteps: number;
  readonly trials: number;
  readonly seed: number;
}

const CUBE_TO_BOWL = ['right', 'middle', 'left'].map((place): DemoTaskPlace => ({ task: 'cube-to-bowl', place }));

/** Five minutes on two cores. */
export const QUICK: Omit<DemoSettings, 'seed'> = {
  tasks: CUBE_TO_BOWL,
  fps: 5,
  episodes: 10,
  rounds: 90,
  localSteps: 10,
  batchSize: 8,
  learningRate: 1.5e-3,
  // Its momentum makes up for short rounds: 90 of them do the task in 105 of 120 trials, with plain averaging in 29.
  strategy: 'diloco',
  soloRoundSteps: 10,
  trials: 120,
};

/** Ten minutes on two cores. */
export const FULL: Omit<DemoSettings, 'seed'> = { ...QUICK, rounds: 250 };

/** Homes that differ in object, goal, table, light and camera as well. */
export const MIXED_TASKS: readonly DemoTaskPlace[] = [
  { task: 'cube-to-bowl', place: 'right' },
  { task: 'can-to-tray', place: 'middle' },
  { task: 'ball-to-mat', place: 'left' },
];

/** One way to get a policy: who trains on what. */
export interface DemoPolicy {
  /** `together`, `all data in one place`, `alone: left`, … */
  readonly name: string;
  readonly slug: string;
  readonly datasets: readonly string[];
}

/** A home: what it does, and its recordings. */
export interface Home extends DemoTaskPlace {
  /** What tells it from the others: its place, or its task where tasks differ. */
  readonly name: string;
  readonly dataset: string;
}

/** The homes, each with a place of its own for the thing. */
export function homesOf({ tasks, fps, episodes, seed }: DemoSettings): readonly Home[] {
  return tasks.map(({ task, place }, index) => ({
    task,
    place,
    name: isOneTask(tasks) ? place : task,
    dataset: `demo:${task}?episodes=${episodes}&seed=${seed + index}&fps=${fps}&place=${place}`,
  }));
}

/** Whether all homes do the same, each at its own place. */
export function isOneTask(tasks: readonly DemoTaskPlace[]): boolean {
  return new Set(tasks.map(({ task }) => task)).size === 1;
}

/** What a chart of the results answers. */
export function questionOf(tasks: readonly DemoTaskPlace[]): string {
  return isOneTask(tasks) ? 'Who can do the task?' : 'Who can do all tasks?';
}

/** The trainings that need no server: each home by itself, and everything in one place. */
export function soloPolicies(homes: readonly Home[]): readonly DemoPolicy[] {
  return [
    ...homes.map(({ name, dataset }) => ({ name: `alone: ${name}`, slug: `alone_${name}`, datasets: [dataset] })),
    { name: 'all data in one place', slug: 'centralised', datasets: homes.map(({ dataset }) => dataset) },
  ];
}

/** The addresses that policies are tried at, in turn: what each home does. */
export function taskAddresses({ tasks, fps }: DemoSettings): readonly string[] {
  return tasks.map(({ task, place }) => `demo:${task}?fps=${fps}&place=${place}`);
}

/** Arguments of `zk0-server simulate` for the federated run. */
export function federatedArguments(settings: DemoSettings, homes: readonly Home[], out: string): string[] {
  const { rounds, localSteps, batchSize, learningRate, strategy, seed } = settings;
  const set = (key: string, value: unknown): string[] => ['--set', `${key}=${String(value)}`];
  return [
    'simulate',
    ...['--clients', String(homes.length), '--hold-out', '0', '--out', out, '--seed', String(seed)],
    ...homes.flatMap(({ dataset }) => ['--dataset', dataset]),
    ...['--rounds', String(rounds), '--local-steps', String(localSteps), '--batch-size', String(batchSize)],
    ...['--learning-rate', String(learningRate), '--strategy', strategy],
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
    ...['--policy', checkpoint, ...taskAddresses(settings).flatMap((address) => ['--task', address]), '--trials', String(trials), '--seed', String(seed)],
    ...['--device', 'cpu', '--threads', '1', '--video', video, '--clips', '1', '--json'],
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

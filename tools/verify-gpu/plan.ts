import type { Part, Setting } from './part.ts';

/** One thing to do, and how long it may take. */
export interface Task {
  readonly name: string;
  /** Seconds after which it is ended. */
  readonly budget: number;
  /** Seconds without which it is not begun. */
  readonly least: number;
  readonly work:
    | { readonly by: 'zk0'; readonly part: Part; readonly setting: Setting }
    /** Arguments of `time_lerobot.py`. */
    | { readonly by: 'lerobot'; readonly what: 'train' | 'act'; readonly batch: number; readonly precision: string; readonly runs: number };
}

/** What the plan depends on. */
export interface PlanOptions {
  readonly setting: Omit<Setting, 'precision'>;
  /** Element types of products to try; the first is the one to compare with the processor. */
  readonly precisions: readonly string[];
  /** A few minutes instead of a quarter of an hour: fewer steps, smaller batches. */
  readonly quick: boolean;
  /** Whether LeRobot can be timed. */
  readonly lerobot: boolean;
}

/**
 * Everything in the order of its worth: whether the device computes the right numbers, then what training costs beside LeRobot, then
 * the rest. What comes last is what a spent budget leaves out.
 */
export function planTasks({ setting, precisions, quick, lerobot }: PlanOptions): Task[] {
  const steps = quick ? 4 : 30;
  const batches = quick ? [2, 4] : [8, 64];
  const seconds = (full: number): number => (quick ? Math.max(60, full / 2) : full);
  const ours = (name: string, precision: string, part: Part, full: number): Task => ({
    name: `${name}, ${precision}`, budget: seconds(full), least: seconds(full) / 4, work: { by: 'zk0', part, setting: { ...setting, precision } },
  });
  const theirs = (what: 'train' | 'act', batch: number, precision: string): Task => ({
    name: `LeRobot: ${what === 'train' ? `step of ${batch}` : 'action chunk'}, ${precision}`,
    budget: seconds(75),
    least: seconds(20),
    work: { by: 'lerobot', what, batch, precision, runs: quick ? 1 : 10 },
  });
  const [first, ...others] = precisions as [string, ...string[]];
  const [small, large] = batches as [number, number];
  const halved = others[0] === undefined ? [] : [others[0]];
  const step = (cache: 'prefix' | 'vision' | 'off', batch: number, precision: string): Task =>
    ours(`step of ${batch}, ${cache === 'off' ? 'nothing' : cache} cached`, precision, { kind: 'steps', cache, batch, steps: cache === 'off' ? Math.max(2, steps / 5) : steps }, cache === 'off' ? 120 : 75);
  return [
    ...precisions.map((precision) => ({ ...ours('every graph against the processor', precision, { kind: 'graphs' }, 90), budget: 120 })),
    ours(`${steps} steps on both`, first, { kind: 'same training', steps, batch: small }, 240),
    ...[first, ...halved].flatMap((precision) => [step('prefix', small, precision), step('prefix', large, precision)]),
    ...(lerobot ? [theirs('train', small, 'float32'), theirs('train', small, 'bfloat16'), theirs('train', large, 'bfloat16'), theirs('train', large, 'float32')] : []),
    ...[first, ...halved].map((precision) => step('off', small, precision)),
    ...[first, ...halved].map((precision) => ours('action chunk', precision, { kind: 'act', runs: quick ? 2 : 10 }, 60)),
    ...(lerobot ? [theirs('act', 1, 'float32')] : []),
    ...(['vision', 'prefix'] as const).map((cache) => ours(`encoding frames to ${cache}`, halved[0] ?? first, { kind: 'encode', cache, frames: quick ? 4 : 64 }, 75)),
    ...halved.map((precision) => step('off', large, precision)),
    step('vision', small, halved[0] ?? first),
  ];
}

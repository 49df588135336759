import { errorMessage } from '@zk0/core';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Found } from './part.ts';
import type { Task } from './plan.ts';

/** What came of a task. */
export type Outcome =
  | { readonly name: string; readonly state: 'done'; readonly wallSeconds: number; readonly found: Found; readonly devicePeakBytes?: number }
  | { readonly name: string; readonly state: 'failed'; readonly wallSeconds: number; readonly reason: string }
  | { readonly name: string; readonly state: 'skipped'; readonly reason: string };

/** How LeRobot is timed: a Python that has it, and the card as PyTorch names it. */
export interface LeRobotPlace {
  readonly python: string;
  readonly device: string;
  readonly threads: number;
}

/** How often the card's memory is looked at, in ms. */
const LOOK_MS = 500;
const TIME_OVER = 'time is over';

/** Does one task in a process that is killed when its time is over. */
export async function runTask({ name, budget, work }: Task, seconds: number, lerobot: LeRobotPlace | undefined): Promise<Outcome> {
  const begun = performance.now();
  const memory = watchMemory();
  try {
    const limit = Math.min(budget, seconds);
    const found = work.by === 'zk0' ? await runPart(work.part, work.setting, limit) : await runLeRobot(work, lerobot!, limit);
    const peak = await memory.stop();
    return { name, state: 'done', wallSeconds: since(begun), found, ...(peak !== undefined && { devicePeakBytes: peak }) };
  } catch (error) {
    await memory.stop();
    if (isTimeOver(error) && seconds < budget) return { name, state: 'skipped', reason: `it was ended after ${seconds.toFixed(0)} s, when the time for all was over` };
    return { name, state: 'failed', wallSeconds: since(begun), reason: isTimeOver(error) ? `it was ended after ${budget.toFixed(0)} s` : errorMessage(error) };
  }
}

async function runPart(part: unknown, setting: unknown, limit: number): Promise<Found> {
  const script = fileURLToPath(new URL('part.ts', import.meta.url));
  const line = await lastLine(process.execPath, ['--conditions=@zk0/source', script, JSON.stringify(part), JSON.stringify(setting)], limit);
  return JSON.parse(line) as Found;
}

async function runLeRobot({ what, batch, precision, runs }: Extract<Task['work'], { by: 'lerobot' }>, { python, device, threads }: LeRobotPlace, limit: number): Promise<Found> {
  const script = fileURLToPath(new URL('../../packages/policy-smolvla/golden/time_lerobot.py', import.meta.url));
  const line = await lastLine(python, [script, what, String(runs), String(threads), '--device', device, '--precision', precision, '--batch', String(batch)], limit);
  const { seconds, peakBytes, devicePeakBytes, matmulGflops } = JSON.parse(line) as { seconds: number[]; peakBytes: number; devicePeakBytes?: number; matmulGflops: number };
  const median = seconds.toSorted((a, b) => a - b)[Math.floor(seconds.length / 2)]!;
  const figures = what === 'train' ? { 'seconds a step': median, 'samples a second': batch / median } : { 'seconds a chunk': median };
  return {
    device, precision, hostPeakBytes: peakBytes,
    figures: { ...figures, 'GFLOP/s of a product': matmulGflops, ...(devicePeakBytes !== undefined && { 'bytes that PyTorch held': devicePeakBytes }) },
  };
}

/** The last line that a program prints; it is killed, with what it started, after `limit` seconds. */
function lastLine(program: string, args: readonly string[], limit: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let [out, errors, isOver] = ['', '', false];
    const timer = setTimeout(() => {
      isOver = true;
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }, limit * 1000);
    child.stdout.on('data', (chunk: Buffer) => (out = (out + chunk.toString()).slice(-1_000_000)));
    child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)));
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const line = out.trim().split('\n').at(-1) ?? '';
      if (code === 0 && line.startsWith('{')) resolve(line);
      else reject(new Error(isOver ? TIME_OVER : `it ended with ${signal ?? code}: ${messageIn(errors)}`));
    });
  });
}

/** What a program said before it ended: its error's message, without the places in the code. */
function messageIn(errors: string): string {
  const lines = errors.trim().split('\n').filter((line) => !/^\s+at |^Node\.js v|^\s*$/.test(line));
  const said = lines.filter((line) => /^\w*Error\b|^\s+(code|hint): /.test(line));
  return (said.length > 0 ? said.slice(-3) : lines.slice(-3)).map((line) => line.trim()).join(' ') || 'no message';
}

/** The most memory of the first NVIDIA card that was in use while something ran, in bytes; undefined without such a card. */
function watchMemory(): { stop: () => Promise<number | undefined> } {
  const seen: { most: number | undefined; isOver: boolean } = { most: undefined, isOver: false };
  const look = (): Promise<void> =>
    new Promise((resolve) => {
      execFile('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits'], { timeout: 5000 }, (error, stdout) => {
        const used = Number(stdout.split('\n')[0]);
        if (error === null && Number.isFinite(used)) seen.most = Math.max(seen.most ?? 0, used * 2 ** 20);
        else seen.isOver = true;
        resolve();
      });
    });
  const watching = (async () => {
    while (!seen.isOver) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  })();
  return {
    stop: async () => {
      seen.isOver = true;
      await watching;
      return seen.most;
    },
  };
}

/** What the machine is, for the record. */
export function describeMachine(): Record<string, string> {
  const ask = (program: string, args: readonly string[]): string => {
    try {
      return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 10_000 }).trim();
    } catch {
      return '';
    }
  };
  const [card = '', driver = '', memory = '', capability = ''] = ask('nvidia-smi', ['--query-gpu=name,driver_version,memory.total,compute_cap', '--format=csv,noheader']).split('\n')[0]!.split(', ');
  return Object.fromEntries(Object.entries({ card, driver, memory, capability }).filter(([, value]) => value !== ''));
}

function isTimeOver(error: unknown): boolean {
  return error instanceof Error && error.message === TIME_OVER;
}

function since(begun: number): number {
  return (performance.now() - begun) / 1000;
}

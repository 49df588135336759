import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** What golden/time_lerobot.py prints. */
export interface LeRobotRun {
  readonly seconds: readonly number[];
  readonly peakBytes: number;
  readonly threads: number;
  readonly matmulGflops: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** LeRobot's training step and action chunk, timed now or earlier. */
export interface LeRobotFigures {
  readonly train: LeRobotRun;
  readonly act: LeRobotRun;
  /** Where and when they were recorded, and what onnxruntime's matrix product did there then; absent when they were timed in this run. */
  readonly recorded?: { readonly where: string; readonly onnxruntimeGflops: number };
}

/** Runs LeRobot where a Python that has it is named, else reads what was recorded beside this file. */
export async function leRobotFigures(python: string | undefined, runs: number, threads: number): Promise<LeRobotFigures> {
  if (python === undefined) return JSON.parse(readFileSync(new URL('lerobot.json', import.meta.url), 'utf8')) as LeRobotFigures;
  const script = fileURLToPath(new URL('../golden/time_lerobot.py', import.meta.url));
  const run = async (what: string): Promise<LeRobotRun> => {
    const { stdout } = await promisify(execFile)(python, [script, what, String(runs), String(threads)]);
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as LeRobotRun;
  };
  return { train: await run('train'), act: await run('act') };
}

/**
 * Verifies a machine's accelerator within a quarter of an hour, and measures it: every graph against the processor, the same steps on
 * both, steps of two batch sizes with and without a cache beside LeRobot on PyTorch, memory, encoding of frames, acting.
 *
 *   node --conditions=@zk0/source tools/verify-gpu/main.ts --device cuda --out DIR [--minutes 14] [--preset full] [--lerobot PYTHON]
 *   node --conditions=@zk0/source tools/verify-gpu/main.ts --device cpu --preset small --quick --out DIR     a dry run
 *
 * It writes verify-gpu.json after every part, so that nothing is lost when it is ended from outside, and verify-gpu.md, the tables for
 * docs/accelerators.md. A part that has no time left is skipped with a line. It exits with 1 when something differs or fails.
 * README.md beside it says how it is packed for a machine without network.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { runtimeVersion } from '@zk0/policy-smolvla';
import { presetDirectory, PRESETS } from '@zk0/policy-smolvla/presets';
import { fullCheckpoint } from '../../packages/policy-smolvla/bench/full-model.ts';
import { planTasks } from './plan.ts';
import { failuresOf, markdown, type Report } from './report.ts';
import { describeMachine, runTask, type Outcome } from './run-task.ts';

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    preset: { type: 'string', default: 'full' },
    precision: { type: 'string', multiple: true },
    minutes: { type: 'string', default: '14' },
    quick: { type: 'boolean', default: false },
    threads: { type: 'string' },
    lerobot: { type: 'string' },
    only: { type: 'string' },
    out: { type: 'string' },
  },
});
if (values.out === undefined) throw new Error('--out is missing: the folder for verify-gpu.json and verify-gpu.md');
const seconds = 60 * Number(values.minutes);
if (!(seconds > 0)) throw new Error(`--minutes ${values.minutes} is no positive number`);
if (values.preset !== 'full' && !Object.hasOwn(PRESETS, values.preset)) throw new Error(`--preset ${values.preset}: there are full and ${Object.keys(PRESETS).join(', ')}`);

const out = path.resolve(values.out);
await mkdir(out, { recursive: true });
const begun = performance.now();
const left = (): number => seconds - (performance.now() - begun) / 1000;
const say = (line: string): void => void process.stdout.write(`${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${line}\n`);
const kept = process.env['ZK0_BENCH_DIRECTORY'];
const root = kept ?? (await mkdtemp(path.join(tmpdir(), 'zk0-verify-')));
const cacheDirectory = await mkdtemp(path.join(root, 'cache-'));
const outcomes: Outcome[] = [];
const report = (): Report => ({
  device: values.device,
  preset: values.preset,
  machine: { ...describeMachine(), processor: `${cpus()[0]!.model}, ${availableParallelism()} threads` },
  versions: { Node: process.version, onnxruntime: runtimeVersion() },
  begun: new Date(Date.now() - (performance.now() - begun)).toISOString().slice(0, 16),
  seconds: (performance.now() - begun) / 1000,
  outcomes,
});

try {
  say(`making the policy ${values.preset}`);
  const checkpoint = values.preset === 'full' ? await fullCheckpoint(root) : await presetDirectory(PRESETS[values.preset]!, root);
  const threads = values.threads === undefined ? {} : { threads: Number(values.threads) };
  const setting = { checkpoint, cacheDirectory, device: values.device, ...threads };
  // The provider of the processor has no bfloat16, and WebGPU has none either.
  const precisions = values.precision ?? (values.device === 'cuda' ? ['float32', 'float16', 'bfloat16'] : ['float32']);
  const lerobot = values.lerobot === undefined ? undefined : { python: values.lerobot, device: values.device === 'cuda' ? 'cuda' : 'cpu', threads: Number(values.threads ?? availableParallelism()) };
  const tasks = planTasks({ setting, precisions, quick: values.quick, lerobot: lerobot !== undefined });
  for (const task of tasks.filter(({ name }) => values.only === undefined || name.includes(values.only))) {
    if (isDeviceGone() && task.work.by === 'zk0') {
      outcomes.push({ name: task.name, state: 'skipped', reason: `device ${values.device} is not available` });
    } else if (left() < task.least) {
      outcomes.push({ name: task.name, state: 'skipped', reason: `${Math.max(0, left()).toFixed(0)} s are left, and it needs ${task.least.toFixed(0)}` });
    } else {
      outcomes.push(await runTask(task, left(), lerobot));
    }
    say(lineOf(outcomes.at(-1)!));
    await writeFile(path.join(out, 'verify-gpu.json'), `${JSON.stringify(report(), null, 2)}\n`);
    await writeFile(path.join(out, 'verify-gpu.md'), markdown(report()));
  }
} finally {
  await rm(kept === undefined ? root : cacheDirectory, { recursive: true, force: true });
}
const failures = failuresOf(report());
for (const failure of failures) process.stdout.write(`NOT RIGHT  ${failure}\n`);
process.stdout.write(`${path.join(out, 'verify-gpu.json')} and verify-gpu.md are written\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

/** Whether a part has ended because there is no such device: the others would end alike. */
function isDeviceGone(): boolean {
  return outcomes.some((outcome) => outcome.state === 'failed' && outcome.reason.includes('DEVICE_UNAVAILABLE'));
}

function lineOf(outcome: Outcome): string {
  if (outcome.state !== 'done') return `${outcome.name}: ${outcome.state}, ${outcome.reason}`;
  const figures = Object.entries(outcome.found.figures).slice(0, 3).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
  const worst = (outcome.found.comparisons ?? []).filter(({ difference, allowed }) => !(difference <= allowed)).map(({ what }) => `${what} DIFFERS`);
  return `${outcome.name}: ${[...worst, ...figures].join(', ')}`;
}

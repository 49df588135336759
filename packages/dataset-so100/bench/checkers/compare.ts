/**
 * What this package and other checkers of LeRobot datasets find on damaged sets, as a table, and how long each takes.
 *
 *     node --conditions=@zk0/source bench/checkers/compare.ts --folder DIR [--python lerobot-doctor=PATH …] [--set PATH …]
 *
 * `--python` names a Python in which a checker is installed; `--set` measures a set of recordings beside the sound one. A kind of damage
 * counts as found where a checker says something that it does not say of the sound set; what it says is written to DIR/findings.json.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { validateDataset } from '@zk0/dataset-so100';
import { makeDamaged, type TriedSet } from './make-damaged.ts';

const TIMES = 3;

/** Severity, code, text. */
type Found = readonly [string, string, string];

interface Checked {
  readonly checker: string;
  readonly version: string;
  readonly folder: string;
  readonly seconds: number;
  readonly findings: readonly Found[];
}

const { values } = parseArgs({
  options: { folder: { type: 'string' }, python: { type: 'string', multiple: true, default: [] }, set: { type: 'string', multiple: true, default: [] } },
});
const folder = values.folder!;
const others = values.python.map((entry) => entry.split('=', 2) as [string, string]);

async function ours(roots: readonly string[]): Promise<Checked[]> {
  const checked: Checked[] = [];
  for (const root of roots) {
    const start = performance.now();
    const { findings } = await validateDataset(root, { motion: true, samples: Infinity });
    const found = findings.map(({ severity, code, message }): Found => [severity, code, message.replaceAll(root, '')]);
    checked.push({ checker: 'zk0', version: '', folder: root, seconds: (performance.now() - start) / 1000, findings: found });
  }
  return checked;
}

async function theirs(name: string, python: string, roots: readonly string[]): Promise<Checked[]> {
  const script = path.join(import.meta.dirname, 'run_checker.py');
  // Some keep caches where they are started.
  const { stdout } = await promisify(execFile)(python, [script, name, ...roots], { maxBuffer: 2 ** 28, cwd: folder });
  const lines = stdout.trim().split('\n').map((line) => JSON.parse(line) as Checked);
  return lines.map((one) => ({ ...one, findings: one.findings.map(([severity, code, text]): Found => [severity, code, text.replaceAll(one.folder, '')]) }));
}

/** What is said of a set and not of the sound one. */
function newOf(checked: Checked, sound: Checked): readonly Found[] {
  const known = new Set(sound.findings.map((found) => found.join('\0')));
  return checked.findings.filter((found) => !known.has(found.join('\0')));
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

const sets: readonly TriedSet[] = await makeDamaged(folder);
const roots = sets.map(({ root }) => root);
const columns = [await ours(roots)];
for (const [name, python] of others) columns.push(await theirs(name, python, roots));

const said: Record<string, Record<string, readonly Found[]>> = {};
console.log(`| damage | ${columns.map(([first]) => `${first!.checker} ${first!.version}`.trim()).join(' | ')} |\n|---|${columns.map(() => '---|').join('')}`);
for (const [i, { name }] of sets.entries()) {
  const cells = columns.map((checked) => {
    const found = i === 0 ? checked[0]!.findings : newOf(checked[i]!, checked[0]!);
    (said[name] ??= {})[checked[0]!.checker] = found;
    return found.length === 0 ? '–' : [...new Set(found.map(([, code]) => code))].join(' ');
  });
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
await writeFile(path.join(folder, 'findings.json'), JSON.stringify(said, null, 1));

console.log(`\nseconds, median of ${TIMES}, ${availableParallelism()} cores, Node ${process.version}`);
for (const root of [roots[0]!, ...values.set]) {
  for (const [name, python] of [['zk0', ''] as const, ...others]) {
    const seconds: number[] = [];
    for (let i = 0; i < TIMES; i++) seconds.push((python === '' ? await ours([root]) : await theirs(name, python, [root]))[0]!.seconds);
    console.log(`${path.basename(root)}: ${name} ${median(seconds).toFixed(2)}`);
  }
}

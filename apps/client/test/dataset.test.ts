import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeDemoDataset } from '@zk0/demo-so100';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let folder: string;
let set: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-client-dataset-'));
  set = path.join(folder, 'set');
  await makeDemoDataset(set, { task: 'lift-can', episodes: 2, seed: 3 });
}, 240_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the program as a user does. */
function zk0(...args: string[]): Promise<Outcome> {
  const main = path.join(import.meta.dirname, '../dist/main.js');
  const coverage = process.env['ZK0_TEST_COVERAGE'];
  const env = { ...process.env, ...(coverage !== undefined && { NODE_V8_COVERAGE: coverage }), ZK0_HOME: path.join(folder, 'home'), NODE_OPTIONS: '' };
  return new Promise((resolve) => {
    execFile(process.execPath, [main, 'dataset', ...args], { env }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
  });
}

/** Width and height from the PNG header. */
async function pngSize(file: string): Promise<[number, number]> {
  const bytes = await readFile(file);
  expect(bytes.subarray(1, 4).toString()).toBe('PNG');
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

describe('zk0-client dataset', { timeout: 180_000 }, () => {
  it('inspects in words, in JSON and in pictures', async () => {
    const pictures = path.join(folder, 'pictures');
    const { code, out } = await zk0('inspect', set, '--json', '--out', pictures);
    expect(code).toBe(0);
    const found = JSON.parse(out) as { episodes: number; state: { q50: number; min: number; max: number }[]; pictures: string[] };
    expect(found.episodes).toBe(2);
    expect(found.state).toHaveLength(6);
    for (const { min, q50, max } of found.state) expect(min <= q50 && q50 <= max).toBe(true);
    expect(found.pictures).toEqual(['contact-sheet.png', 'joints.png'].map((name) => path.join(pictures, name)));
    // Two rows of 2 × 3 images; six joints in two rows of three.
    expect((await pngSize(found.pictures[0]!))[0]).toBeGreaterThan(2000);
    expect(await pngSize(found.pictures[1]!)).toEqual([2580, 964]);
    const words = await zk0('inspect', set);
    expect(words.out).toContain('2 episodes');
    expect(words.out).toContain('Lift the yellow can and put it back. (2 episodes)');
  });

  it('finds a sound set usable, and says nothing on stderr where nobody watches', async () => {
    const { code, out } = await zk0('validate', set);
    expect(code).toBe(0);
    expect(out).toContain('usable: nothing found');
  });

  it('finds what two sets share, as an error', async () => {
    const { code, out } = await zk0('validate', `${set}?episodes=1`, set, '--samples', '0', '--json');
    expect(code).toBe(1);
    const { overlap, datasets } = JSON.parse(out) as { overlap: { code: string; episode: number }[]; datasets: unknown[] };
    expect(datasets).toHaveLength(2);
    expect(overlap.map(({ code: what, episode }) => [what, episode])).toEqual([['OVERLAP', 1]]);
    const apart = await zk0('validate', `${set}?episodes=0`, `${set}?episodes=1`, '--samples', '0');
    expect([apart.code, apart.out.includes('share no episode')]).toEqual([0, true]);
  });

  it('repairs into a new directory, says what it did, and checks the copy', async () => {
    const copy = path.join(folder, 'copy');
    const broken = path.join(folder, 'broken');
    await makeDemoDataset(broken, { task: 'lift-can', episodes: 1, seed: 4 });
    await unlink(path.join(broken, 'meta/stats.json'));
    const { code, out } = await zk0('validate', broken, '--fix', copy);
    expect(code).toBe(0);
    expect(out).toContain('meta/stats.json is missing');
    expect(out).toContain('statistics computed anew');
    expect(out).toContain('the copy is usable: nothing found');
    expect(await readdir(path.join(copy, 'meta'))).toContain('stats.json');
    const again = await zk0('validate', broken, '--fix', copy);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('already exists')]);
  });

  it.each([
    [['validate'], 2, "missing required argument 'uri'"],
    [['validate', 'x', '--drop', 'black'], 2, '--drop belongs to --fix'],
    [['validate', 'x', '--fix', 'y', '--drop', 'dull'], 2, '--drop dull is not known'],
    [['validate', 'x', 'y', '--fix', 'z'], 2, '--fix takes one dataset'],
    [['inspect', '/nowhere'], 1, 'There is nothing at /nowhere. Check the path.'],
    [['make', 'x', '--episodes', '0'], 2, '--episodes must be a whole number above 0'],
  ] as const)('%j ends with %i', async (args, code, words) => {
    const outcome = await zk0(...args);
    expect(outcome).toEqual({ code, out: '', err: expect.stringContaining(words) as string });
  });

  it('examines how episodes move, gives each a score, and ends as it was told to for what it found', async () => {
    const report = await zk0('doctor', set, '--json', '--samples', '4', '--policy', 'tiny');
    const found = JSON.parse(report.out) as { ok: boolean; counts: { warning: Record<string, number> } };
    expect([report.code, found.ok], report.err).toEqual([0, true]);
    // The task's text is longer than the policy reads.
    expect(Object.keys(found.counts.warning)).toContain('TASK');
    expect((await zk0('doctor', set, '--samples', '4', '--policy', 'tiny', '--fail-on', 'warning')).code).toBe(1);
    expect((await zk0('doctor', set, '/nowhere', '--fail-on', 'never')).code).toBe(0);
    const sarif = JSON.parse((await zk0('doctor', set, '/nowhere', '--sarif')).out) as { version: string };
    expect(sarif.version).toBe('2.1.0');
    const words = await zk0('doctor', set, '--samples', '4');
    expect(words.out).toContain('SCORES');
    const wrong = await zk0('doctor', set, '--fail-on', 'sometimes');
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('--fail-on sometimes is not known')]);
  });

  it('says in one report that nothing is there', async () => {
    const { code, out } = await zk0('validate', '/nowhere');
    expect(code).toBe(1);
    expect(out).toContain('There is nothing at /nowhere');
    expect(out).toContain('NOT usable: 1 error');
  });

  it('splits, relabels, drops and merges copies, and says what is in them', async () => {
    const at = (name: string): string => path.join(folder, name);
    const parts = await zk0('split', set, at('parts'), '--part', 'train=0', '--part', 'test=1');
    expect([parts.code, parts.err]).toEqual([0, '']);
    expect(parts.out).toMatch(/train: 1 episode, \d+ frames, 1 task \(episodes 0\)[^]*test: 1 episode, .*\(episodes 1\)/);
    const relabelled = await zk0('relabel', at('parts/test'), at('named'), '--set', '0=Lift it.', '--json');
    expect(relabelled.code).toBe(0);
    expect(JSON.parse(relabelled.out)).toMatchObject({ episodes: 1, tasks: ['Lift it.'], changed: [expect.any(Number)] });
    const merged = await zk0('merge', at('parts/train'), at('named'), at('merged'));
    expect([merged.code, merged.out.includes(': 2 episodes, ')]).toEqual([0, true]);
    const dropped = await zk0('drop', at('merged'), at('one'), '--episodes', '1');
    expect([dropped.code, dropped.out]).toEqual([0, expect.stringContaining('Left out: episode 1')]);
    const { out } = await zk0('validate', at('one'), at('named'), '--samples', '0');
    expect(out).toContain('share no episode');
  });

  it.each([
    [['merge', 'a', 'b'], 2, 'merge takes two datasets or more and a directory'],
    [['split', 'x', 'y', '--part', 'train'], 2, '--part'],
    [['drop', 'x', 'y', '--score-below', '2'], 2, '--score-below'],
    [['relabel', 'x', 'y', '--to', 'Lift it.'], 2, '--task'],
    [['merge', '/nowhere', '/nowhere', 'z'], 1, 'There is nothing at /nowhere'],
  ] as const)('refuses %j', async (args, code, words) => {
    const outcome = await zk0(...args);
    expect(outcome).toEqual({ code, out: '', err: expect.stringContaining(words) as string });
  });

  it('leaves nothing where an edit fails, and overwrites nothing', async () => {
    const before = (await readdir(folder)).sort();
    const over = await zk0('drop', set, set, '--episodes', '0');
    expect([over.code, over.err]).toEqual([1, expect.stringContaining('already exists')]);
    const none = await zk0('drop', set, path.join(folder, 'none'), '--episodes', '0-1');
    expect(none.code).not.toBe(0);
    expect((await readdir(folder)).sort()).toEqual(before);
  });

  it('will not convert what is in v3.0 already', async () => {
    const { code, err } = await zk0('convert', set, path.join(folder, 'converted'));
    expect([code, err]).toEqual([1, expect.stringContaining('is in format v3.0 already')]);
  });
});

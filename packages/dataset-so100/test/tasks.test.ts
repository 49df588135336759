import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openDataset, repairDataset, validateDataset, type Finding } from '../src/index.ts';
import { expectFailure, root, rows, useDamagedSets, V2_ROWS } from './damaged-set.ts';
import { frameParquet, put, writeFixture } from './fixtures.ts';

useDamagedSets();

/** Two episodes of v2.1; the second has the rows given, and the lists of tasks are as given. */
async function tasked(task: (position: number) => number, table: readonly (readonly [number, string])[], listed: readonly string[] = ['pull']): Promise<void> {
  await writeFixture(root, { version: 'v2.1', lengths: [3, 4], cameras: [] });
  await put(root, V2_ROWS, frameParquet(rows(4, ({ position }) => ({ task: task(position) }))));
  await put(root, 'meta/tasks.jsonl', table.map(([task_index, text]) => `${JSON.stringify({ task_index, task: text })}\n`).join(''));
  const episodes = [{ episode_index: 0, length: 3, tasks: ['push'] }, { episode_index: 1, length: 4, tasks: listed }];
  await put(root, 'meta/episodes.jsonl', episodes.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

async function read(uri = root): Promise<{ tasks: string[]; warnings: readonly string[]; hash: string }> {
  const dataset = await openDataset(uri);
  const tasks = [3, 4, 5, 6].map((frame) => dataset.task(frame));
  await dataset.close();
  return { tasks, warnings: dataset.warnings, hash: dataset.info.contentHash };
}

async function found(): Promise<Finding[]> {
  const { findings } = await validateDataset(root, { samples: 0 });
  return findings.filter(({ code, severity }) => code === 'TASK' || severity === 'error');
}

/** The tasks of the second episode in a repaired copy, of which nothing is to be said. */
async function repaired(task?: string): Promise<string[]> {
  const copy = `${root}-copy`;
  try {
    await repairDataset(root, copy, task === undefined ? {} : { task });
    const { findings } = await validateDataset(copy, { samples: 0 });
    expect(findings.filter(({ code }) => code === 'TASK')).toEqual([]);
    return (await read(copy)).tasks;
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

const always = (index: number) => (): number => index;
const TABLE = [[0, 'push'], [1, 'pull']] as const;
const same = (text: string): string[] => [text, text, text, text];

describe('the task of a row', () => {
  it('is the one that its number has', async () => {
    await tasked((position) => (position < 2 ? 0 : 1), TABLE, ['push', 'pull']);
    expect(await read()).toMatchObject({ tasks: ['push', 'push', 'pull', 'pull'], warnings: [] });
    expect(await found()).toEqual([]);
  });

  it.each([
    ['a number that is not listed', always(7), TABLE, 'task_index 7, which meta/tasks does not list'],
    ['a text that is empty', always(1), [[0, 'push'], [1, '  ']], 'whose text is empty'],
    ['two texts of one number', always(1), [[0, 'push'], [1, 'lift'], [1, 'pull']], 'is listed in meta/tasks as "lift" and "pull"'],
  ] as const)('is that of its episode, which is said and corrected: %s', async (_, task, table, words) => {
    await tasked(task, table);
    const { tasks, warnings } = await read();
    expect(tasks).toEqual(same('pull'));
    expect(warnings).toEqual([expect.stringContaining(words)]);
    const findings = await found();
    expect(findings).toContainEqual(expect.objectContaining({ code: 'TASK', severity: 'warning', episode: 1 }));
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(await repaired()).toEqual(same('pull'));
  });

  it.each([
    ['a number that is not listed', always(7), TABLE, ['push', 'pull'], 'task_index 7, which meta/tasks does not list'],
    ['no text at all', always(7), TABLE, [], 'task_index 7'],
    ['two texts of one number, both of the episode', always(1), [[0, 'push'], [1, 'lift'], [1, 'pull']], ['lift', 'pull'], 'is listed in meta/tasks as'],
    ['empty texts', always(1), [[0, 'push'], [1, '']], [' '], 'whose text is empty'],
  ] as const)('is an error where there is not one answer, which only a person gives: %s', async (_, task, table, listed, words) => {
    await tasked(task, table, listed);
    await expectFailure('DATASET_METADATA', words);
    expect(await found()).toContainEqual(expect.objectContaining({ code: 'DATASET_METADATA', severity: 'error' }));
    await expect(repairDataset(root, `${root}-copy`)).rejects.toMatchObject({ code: 'DATASET_NOT_REPAIRABLE' });
    expect(await repaired('wave')).toEqual(same('wave'));
  });

  it('is believed where the episode lists another, which is said', async () => {
    await tasked(() => 0, TABLE, ['pull']);
    const { tasks, warnings } = await read();
    expect(tasks).toEqual(same('push'));
    expect(warnings).toEqual([expect.stringContaining('its rows say "push", and its own list "pull"')]);
  });

  it('may be listed twice, or with blanks around it: a copy has it once', async () => {
    await tasked(() => 2, [...TABLE, [2, 'pull ']], ['pull ']);
    const messages = (await found()).map(({ message }) => message);
    expect(messages).toEqual([expect.stringContaining('"pull " is listed as task 1 and as task 2'), expect.stringContaining('blanks around its text')]);
    expect(await repaired()).toEqual(same('pull'));
  });

  it('that is too long for 48 tokens is named', async () => {
    await tasked(always(1), [[0, 'push'], [1, new Array(60).fill('far').join(' ')]], []);
    expect((await found()).map(({ message }) => message)).toEqual([expect.stringContaining('60 words')]);
  });

  it('is part of what the content hash says', async () => {
    await tasked(always(1), TABLE);
    const before = (await read()).hash;
    await tasked(always(1), [[0, 'push'], [1, 'pull!']], ['pull!']);
    expect((await read()).hash).not.toBe(before);
    await tasked((position) => (position === 3 ? 0 : 1), TABLE, ['push', 'pull']);
    expect((await read()).hash).not.toBe(before);
    await tasked(always(1), TABLE);
    expect((await read()).hash).toBe(before);
  });
});

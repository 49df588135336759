import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryOf, type Maker } from '../test/scratch-names.ts';
import { DEAD_PID, scratchDirectories } from '../test/scratch.ts';
import { recoverDirectories, writeDirectoryAtomic, writeFileAtomic } from './atomic.ts';

const scratch = scratchDirectories();
const isRoot = process.getuid?.() === 0;

describe('writeFileAtomic', () => {
  it('writes and replaces text and bytes, leaving nothing else', async () => {
    const directory = await scratch();
    const file = join(directory, 'client-id');
    await writeFileAtomic(file, 'one\n');
    expect(await readFile(file, 'utf8')).toBe('one\n');
    await writeFileAtomic(file, Uint8Array.of(1, 2, 3));
    expect([...(await readFile(file))]).toEqual([1, 2, 3]);
    expect(await readdir(directory)).toEqual(['client-id']);
  });

  it('gives a secret its permissions before its content is there', async () => {
    const file = join(await scratch(), 'key');
    await writeFileAtomic(file, 'secret', { mode: 0o600 });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('keeps the old file when it cannot write', async () => {
    const directory = await scratch();
    await mkdir(join(directory, 'taken', 'inside'), { recursive: true });
    await expect(writeFileAtomic(join(directory, 'taken'), 'x')).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    expect(await readdir(directory)).toEqual(['taken']);
  });

  it('names a folder that is missing', async () => {
    const file = join(await scratch(), 'no', 'file');
    await expect(writeFileAtomic(file, 'x')).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining(file) as string,
    });
  });

  it.skipIf(isRoot)('says what to do about a folder without permission', async () => {
    const directory = await scratch();
    await chmod(directory, 0o500);
    await expect(writeFileAtomic(join(directory, 'x'), 'x')).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
  });

  it('lets the last of many concurrent writers win, whole', async () => {
    const file = join(await scratch(), 'value');
    const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(10_000));
    await Promise.all(texts.map((text) => writeFileAtomic(file, text)));
    expect(texts).toContain(await readFile(file, 'utf8'));
  });
});

describe('writeDirectoryAtomic', () => {
  const build = (text: string) => async (directory: string): Promise<string> => {
    await mkdir(join(directory, 'deep'));
    await writeFile(join(directory, 'deep', 'file'), text);
    return text;
  };

  it('makes a folder with its parents and returns what its builder did', async () => {
    const root = await scratch();
    const target = join(root, 'models', 'checkpoint');
    expect(await writeDirectoryAtomic(target, build('one'))).toBe('one');
    expect(await readFile(join(target, 'deep', 'file'), 'utf8')).toBe('one');
    expect(await readdir(join(root, 'models'))).toEqual(['checkpoint']);
  });

  it('replaces a folder as a whole', async () => {
    const root = await scratch();
    const target = join(root, 'checkpoint');
    await mkdir(target);
    await writeFile(join(target, 'old'), '');
    await writeDirectoryAtomic(target, build('new'));
    expect(await readdir(target)).toEqual(['deep']);
    expect(await readdir(root)).toEqual(['checkpoint']);
  });

  it('leaves the old folder alone when the builder fails', async () => {
    const root = await scratch();
    const target = join(root, 'checkpoint');
    await writeDirectoryAtomic(target, build('old'));
    const failing = writeDirectoryAtomic(target, async (directory) => {
      await build('half')(directory);
      throw new RangeError('out of luck');
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(await readFile(join(target, 'deep', 'file'), 'utf8')).toBe('old');
    expect(await readdir(root)).toEqual(['checkpoint']);
  });

  it('removes what a dead process left half-built, and nothing of others', async () => {
    const root = await scratch();
    const target = join(root, 'checkpoint');
    const stale = temporaryOf(target, { pid: DEAD_PID });
    // Process 1 of a container that was started again: the id is this process's, the life is not.
    const earlierLife = temporaryOf(target, { birth: '17' });
    const elsewhere = temporaryOf(target, { scope: '00000000' });
    const elsewhereLongAgo = temporaryOf(target, { scope: '00000000' });
    const others = [temporaryOf(target, {}), elsewhere, temporaryOf(join(root, 'other'), { pid: DEAD_PID }), temporaryOf(target, await aliveParent())];
    for (const path of [stale, earlierLife, elsewhereLongAgo, ...others]) await mkdir(path);
    const past = new Date(Date.now() - 2 * 3600_000);
    await utimes(elsewhereLongAgo, past, past);
    await writeDirectoryAtomic(target, build('x'));
    expect((await readdir(root)).sort()).toEqual([...others.map((path) => basename(path)), 'checkpoint'].sort());
  });

  it('has the old folder after a crash between the two renames, once it is asked to recover', async () => {
    const root = await scratch();
    const target = join(root, 'checkpoint');
    await writeDirectoryAtomic(target, build('old'));
    await crashBetweenRenames(target);
    expect(await readdir(root)).not.toContain('checkpoint');
    expect(await recoverDirectories(root)).toEqual(['checkpoint']);
    expect(await readFile(join(target, 'deep', 'file'), 'utf8')).toBe('old');
    expect(await readdir(root)).toEqual(['checkpoint']);
    expect(await recoverDirectories(root)).toEqual([]);
  });

  it('recovers before it replaces the folder itself', async () => {
    const root = await scratch();
    const target = join(root, 'checkpoint');
    await writeDirectoryAtomic(target, build('old'));
    await crashBetweenRenames(target);
    await expect(
      writeDirectoryAtomic(target, () => Promise.reject(new RangeError('no'))),
    ).rejects.toThrow(RangeError);
    expect(await readFile(join(target, 'deep', 'file'), 'utf8')).toBe('old');
    expect(await readdir(root)).toEqual(['checkpoint']);
  });

  it('recovers the newest of several, and drops what was replaced after all', async () => {
    const root = await scratch();
    const [lost, there] = [join(root, 'lost'), join(root, 'there')];
    for (const text of ['older', 'newer']) {
      const path = temporaryOf(lost, { scope: '00000000' }, 'old');
      await mkdir(path);
      await writeFile(join(path, 'file'), text);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await mkdir(there);
    await mkdir(temporaryOf(there, { pid: DEAD_PID }, 'old'));
    expect(await recoverDirectories(root)).toEqual(['lost']);
    expect(await readFile(join(lost, 'file'), 'utf8')).toBe('newer');
    expect((await readdir(root)).sort()).toEqual(['lost', 'there']);
    expect(await recoverDirectories(join(root, 'no'))).toEqual([]);
  });
});

/** The process that runs this one, as its temporary names would tell it. */
async function aliveParent(): Promise<Maker> {
  const text = await readFile(`/proc/${process.ppid}/stat`, 'latin1');
  return { pid: process.ppid, birth: text.slice(text.lastIndexOf(')') + 2).split(' ')[19]! };
}

async function crashBetweenRenames(target: string): Promise<void> {
  const child = fork(new URL('../test/crash-between-renames.ts', import.meta.url), [target], { execArgv: ['--conditions=@zk0/source'] });
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
}

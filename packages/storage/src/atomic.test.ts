import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEAD_PID, scratchDirectories } from '../test/scratch.ts';
import { writeDirectoryAtomic, writeFileAtomic } from './atomic.ts';

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
    const stale = `.checkpoint.${DEAD_PID}-0123456789ab.tmp`;
    const others = [`.checkpoint.${process.pid}-0123456789ab.tmp`, `.other.${DEAD_PID}-0123456789ab.tmp`];
    for (const name of [stale, ...others]) await mkdir(join(root, name));
    await writeDirectoryAtomic(join(root, 'checkpoint'), build('x'));
    expect((await readdir(root)).sort()).toEqual([...others, 'checkpoint'].sort());
  });
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { scratchDirectories } from '../test/scratch.ts';
import { hashFile } from './hash.ts';
import { readJsonFile } from './json.ts';

const scratch = scratchDirectories();

describe('readJsonFile', () => {
  it('gives back what is in the file, checked', async () => {
    const file = join(await scratch(), 'info.json');
    await writeFile(file, '{"fps": 30}');
    expect(await readJsonFile(file)).toEqual({ fps: 30 });
    expect(await readJsonFile(file, z.object({ fps: z.number() }))).toEqual({ fps: 30 });
  });

  it.each([
    ['what is not JSON', '{"fps": '],
    ['what the schema refuses', '{"fps": "30"}'],
  ])('names the file for %s', async (_, text) => {
    const file = join(await scratch(), 'info.json');
    await writeFile(file, text);
    await expect(readJsonFile(file, z.object({ fps: z.number() }))).rejects.toMatchObject({
      code: 'JSON_INVALID',
      message: expect.stringContaining(file) as string,
    });
  });

  it('tells a missing file from an unreadable one', async () => {
    const directory = await scratch();
    await expect(readJsonFile(join(directory, 'no.json'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(readJsonFile(directory)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });
});

describe('hashFile', () => {
  it('equals the published test vector', async () => {
    const file = join(await scratch(), 'abc');
    await writeFile(file, 'abc');
    expect(await hashFile(file)).toEqual({
      hash: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      byteLength: 3,
    });
  });
});

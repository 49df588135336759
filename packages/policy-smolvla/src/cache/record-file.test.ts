import { mkdtemp, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RecordFile, recordFileBytes, type RecordLayout } from './record-file.ts';

const layout: RecordLayout = { key: { of: 'tests' }, count: 5, recordBytes: 300 };
const record = (value: number): Uint8Array => new Uint8Array(layout.recordBytes).fill(value);

let root: string;
let path: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'zk0-records-'));
  path = join(root, 'deep', 'file.records');
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function withFile<T>(use: (file: RecordFile) => Promise<T>, wanted = layout): Promise<T> {
  const file = await RecordFile.open(path, wanted);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

async function damage(position: number): Promise<void> {
  const handle = await open(path, 'r+');
  await handle.write(Uint8Array.of(99), 0, 1, position);
  await handle.close();
}

describe('a record file', () => {
  it('gives back what was written, in any order, also after it was closed', async () => {
    await withFile(async (file) => {
      await file.write(4, record(4));
      await file.write(0, record(1));
    });
    await withFile(async (file) => {
      expect(await file.read(4)).toEqual(record(4));
      expect(await file.read(0)).toEqual(record(1));
      expect(await file.isMarked(0)).toBe(true);
      expect(await file.isMarked(1)).toBe(false);
      expect(await file.read(1)).toBeUndefined();
    });
    expect((await stat(path)).size).toBe(recordFileBytes(layout));
  });

  it('counts a damaged record as absent, wherever the damage is', async () => {
    const begin = recordFileBytes({ ...layout, count: 2 });
    const end = recordFileBytes({ ...layout, count: 3 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: begin, max: end - 1 }), async (position) => {
        await withFile(async (file) => {
          for (const index of [1, 2, 3]) await file.write(index, record(index));
        });
        await damage(position);
        await withFile(async (file) => {
          expect(await file.read(2)).toBeUndefined();
          expect(await file.read(1)).toEqual(record(1));
          expect(await file.read(3)).toEqual(record(3));
        });
      }),
      { numRuns: 40 },
    );
  });

  it('starts again when the header is not its own', async () => {
    for (const spoil of [() => damage(20), () => truncate(path, 5000), () => writeFile(path, 'short')]) {
      await withFile((file) => file.write(2, record(2)));
      await spoil();
      await withFile(async (file) => {
        expect(await file.read(2)).toBeUndefined();
      });
    }
    await withFile((file) => file.write(2, record(2)));
    await withFile(async (file) => {
      expect(await file.read(2)).toBeUndefined();
    }, { ...layout, key: { of: 'another version' } });
    expect(await readdir(join(root, 'deep'))).toEqual(['file.records']);
  });

  it('is filled by two at once', async () => {
    const [first, second] = [await RecordFile.open(path, layout), await RecordFile.open(path, layout)];
    await Promise.all([first.write(0, record(7)), second.write(1, record(8)), first.write(2, record(9)), second.write(2, record(9))]);
    expect([await second.read(0), await first.read(1), await second.read(2)]).toEqual([record(7), record(8), record(9)]);
    await first.close();
    await second.close();
  });

  it('says where it cannot write', async () => {
    await writeFile(join(root, 'deep'), 'a file where a folder should be');
    await expect(RecordFile.open(path, layout)).rejects.toMatchObject({ code: 'CACHE_UNUSABLE', message: expect.stringContaining(path) as string });
  });
});

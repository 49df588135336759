import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { SchemaElement } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { inspectDataset, openDataset, repairDataset, validateDataset } from '../src/index.ts';
import { editInfo, expectFailure, root, useDamagedSets, v2, V2_ROWS, V2_VIDEO, v3 } from './damaged-set.ts';
import { put } from './fixtures.ts';

useDamagedSets();

const LFS = `version https://git-lfs.github.com/spec/v1\noid sha256:${'cd'.repeat(32)}\nsize 123456\n`;
const ANNEX = '/annex/objects/MD5E-s123456--0123456789abcdef0123456789abcdef.parquet\n';

describe('a pointer in place of a file', () => {
  it.each([
    ['v2.1', V2_ROWS],
    ['v2.1', V2_VIDEO],
    ['v2.1', 'meta/info.json'],
    ['v2.1', 'meta/episodes.jsonl'],
    ['v2.1', 'meta/tasks.jsonl'],
    ['v3.0', 'data/chunk-000/file-000.parquet'],
    ['v3.0', 'videos/observation.images.top/chunk-000/file-000.mp4'],
    ['v3.0', 'meta/episodes/chunk-000/file-000.parquet'],
    ['v3.0', 'meta/tasks.parquet'],
  ] as const)('is named: %s, %s', async (version, file) => {
    await (version === 'v3.0' ? v3() : v2());
    await put(root, file, LFS);
    const error = await expectFailure('DATASET_FILE_POINTER', `${file} is a git-lfs pointer, not the file of 123456 bytes itself`);
    expect(error.hint).toContain('git lfs pull');
    expect(error.file).toContain(file);
    const { findings } = await validateDataset(root, { samples: 0 });
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([expect.objectContaining({ code: 'DATASET_FILE_POINTER' })]);
    await expect(repairDataset(`${root}?episodes=1`, `${root}-copy`)).rejects.toMatchObject({ message: expect.stringContaining('git-lfs pointer') as string });
    if (file === V2_VIDEO) expect((await inspectDataset(root)).problems).toEqual([expect.stringContaining('git-lfs pointer')]);
  });

  it('is named for statistics, which stop nobody', async () => {
    await v3();
    await put(root, 'meta/stats.json', LFS);
    await (await openDataset(root)).close();
    const { findings } = await validateDataset(root, { samples: 0 });
    expect(findings).toContainEqual(expect.objectContaining({ severity: 'warning', message: expect.stringContaining('git-lfs pointer') as string }));
  });

  it('of git-annex is named too', async () => {
    await v2();
    await put(root, V2_ROWS, ANNEX);
    expect((await expectFailure('DATASET_FILE_POINTER', 'git-annex pointer, not the file of 123456 bytes')).hint).toContain('git annex get');
  });
});

describe('a layout of another version than claimed', () => {
  it.each([
    ['v3.0', 'v2.1', 'laid out as v2.0 \\(meta/episodes.jsonl is there, meta/episodes is not\\)'],
    ['v2.1', 'v3.0', 'laid out as v3.0 \\(meta/episodes is there, meta/episodes.jsonl is not\\)'],
  ] as const)('is named beside it: %s over %s', async (claimed, laidOut, words) => {
    await (laidOut === 'v3.0' ? v3() : v2());
    await editInfo((info) => {
      info['codebase_version'] = claimed;
    });
    const error = await expectFailure('DATASET_VERSION', `says format ${claimed}; the files are ${words}`);
    expect(error.hint).toContain('codebase_version');
  });

  it('of v1.x is named as such', async () => {
    await v2();
    await rename(path.join(root, 'meta'), path.join(root, 'meta_data'));
    await expectFailure('DATASET_VERSION', 'laid out as format v1.x');
  });
});

/** Writes the data file again, its pages compressed with a codec. */
async function recompress(codec: 'LZ4_RAW' | 'LZ4' | 'LZO', compress: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  const { ParquetFile } = await import('../src/format/parquet.ts');
  const file = path.join(root, V2_ROWS);
  const before = await ParquetFile.open(file, 100);
  const rows = await before.objects([...before.columns]);
  await before.close();
  const lists = ['observation.state', 'action'];
  const schema: SchemaElement[] = [
    { name: 'schema', num_children: before.columns.size },
    ...[...before.columns].flatMap((name): SchemaElement[] =>
      lists.includes(name)
        ? [
            { name, repetition_type: 'OPTIONAL' as const, num_children: 1, converted_type: 'LIST' as const },
            { name: 'list', repetition_type: 'REPEATED' as const, num_children: 1 },
            { name: 'element', type: 'FLOAT' as const, repetition_type: 'OPTIONAL' as const },
          ]
        : [{ name, type: name === 'timestamp' ? ('FLOAT' as const) : ('INT64' as const), repetition_type: 'OPTIONAL' as const }],
    ),
  ];
  const columnData = [...before.columns].map((name) => ({ name, data: rows.map((row) => row[name]) }));
  await writeFile(file, new Uint8Array(parquetWriteBuffer({ columnData, schema, codec, compressors: { [codec]: compress } })));
}

/** An LZ4 block: runs of one byte as a match that reaches into itself, everything else as literals. */
function lz4Block(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  const length = (value: number): void => {
    for (let rest = value - 15; rest >= 0; rest -= 255) out.push(Math.min(255, rest));
  };
  let literals: number[] = [];
  const flush = (match: number): void => {
    out.push((Math.min(15, literals.length) << 4) | (match === 0 ? 0 : Math.min(15, match - 4)));
    length(literals.length);
    out.push(...literals);
    literals = [];
    if (match === 0) return;
    out.push(1, 0);
    length(match - 4);
  };
  for (let at = 0; at < bytes.length; ) {
    let run = 1;
    while (bytes[at + run] === bytes[at]) run++;
    literals.push(bytes[at]!);
    // The format wants literals at the end.
    if (run < 6 || at + run >= bytes.length - 5) at++;
    else {
      flush(run - 1);
      at += run;
    }
  }
  flush(0);
  return Uint8Array.from(out);
}

function hadoop(bytes: Uint8Array): Uint8Array {
  const half = bytes.length >> 1;
  const parts = [bytes.subarray(0, half), bytes.subarray(half)].map((part) => {
    const block = lz4Block(part);
    const header = Buffer.alloc(8);
    header.writeUInt32BE(part.length, 0);
    header.writeUInt32BE(block.length, 4);
    return Buffer.concat([header, block]);
  });
  return Uint8Array.from(Buffer.concat(parts));
}

describe('compressions', () => {
  it.each([
    ['LZ4_RAW', lz4Block],
    ['LZ4', lz4Block],
    ['LZ4', hadoop],
  ] as const)('%s is read', async (codec, compress) => {
    await v2();
    const before = await openDataset(root);
    await recompress(codec, compress);
    const after = await openDataset(root);
    for (let frame = 0; frame < 7; frame++) expect(after.state(frame)).toEqual(before.state(frame));
    await before.close();
    await after.close();
  });

  it('a damaged LZ4 page is an error, never a read beyond its end', async () => {
    const { decompressLz4Block, decompressLz4Hadoop } = await import('../src/format/lz4.ts');
    const block = lz4Block(new Uint8Array(100));
    expect(decompressLz4Block(block, 100)).toEqual(new Uint8Array(100));
    for (let cut = 0; cut < block.length; cut++) expect(() => decompressLz4Block(block.subarray(0, cut), 100)).toThrow();
    expect(() => decompressLz4Block(block, 99)).toThrow();
    expect(() => decompressLz4Block(Uint8Array.of(0x00, 5, 0), 4)).toThrow('damaged');
    expect(() => decompressLz4Hadoop(Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0), 4)).toThrow();
  });

  it('one that is not read is named, with what to do', async () => {
    await v2();
    await recompress('LZO', (bytes) => bytes);
    const error = await expectFailure('DATASET_COMPRESSION', 'is compressed with LZO');
    expect(error.hint).toContain('pq.write_table');
  });
});

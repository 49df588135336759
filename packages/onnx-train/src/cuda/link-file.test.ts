import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { CudaInstallation } from './find-cuda.ts';
import { changeSince, readLink, removeLink, writeLink } from './link-file.ts';

let root: string;
let folder: string;
let runtime: string;
let found: CudaInstallation;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'zk0-link-'));
  folder = join(root, 'home/cuda');
  const file = (name: string): string => {
    writeFileSync(join(root, name), name);
    return join(root, name);
  };
  runtime = file('runtime.so');
  const library = { name: 'libcublas.so.13', path: file('cublas.so') };
  found = { provider: file('cuda.so'), bridge: file('shared.so'), sha256: '00', version: '1.30.0', commit: undefined, cudaMajor: 13, libraries: [library], absent: [] };
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

it('links the three files of onnxruntime, records all, and is undone', () => {
  const link = writeLink(folder, runtime, found);
  expect(readLink(folder)).toEqual(link);
  expect(readlinkSync(join(folder, 'libonnxruntime.so.1'))).toBe(runtime);
  expect(readlinkSync(join(folder, 'libonnxruntime_providers_cuda.so'))).toBe(found.provider);
  expect(readdirSync(folder).sort()).toEqual(['libonnxruntime.so.1', 'libonnxruntime_providers_cuda.so', 'libonnxruntime_providers_shared.so', 'link.json']);
  expect(writeLink(folder, runtime, { ...found, sha256: '11' }).sha256).toBe('11');
  expect(readLink(folder)?.sha256).toBe('11');
  expect(readdirSync(join(root, 'home'))).toEqual(['cuda']);
  expect([removeLink(folder), removeLink(folder)]).toEqual([true, false]);
  expect(readLink(folder)).toBeUndefined();
  expect(existsSync(found.provider)).toBe(true);
});

it('names what has gone or changed since', () => {
  const link = writeLink(folder, runtime, found);
  expect(changeSince(link, runtime)).toBeUndefined();
  expect(changeSince(link, '/other/libonnxruntime.so.1')).toBe(`CUDA was linked for the onnxruntime at ${runtime}; this program uses /other/libonnxruntime.so.1`);
  const { path } = found.libraries[0]!;
  utimesSync(path, 1, 1);
  expect(changeSince(link, runtime)).toBe(`${path} has changed since CUDA was linked with it`);
  rmSync(path);
  expect(changeSince(link, runtime)).toBe(`${path}, which CUDA was linked with, has gone`);
});

it.each(['', '{', 'null', '[]', '{"format":2}', '{"format":1,"libraries":[]}', 'x'.repeat(2 ** 20 + 1)])('refuses a damaged record: %.20s', (text) => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'link.json'), text);
  expect(() => readLink(folder)).toThrow(expect.objectContaining({ code: 'CUDA_LINK_INVALID', message: expect.stringContaining('link.json cannot be read') as string }));
});

it('refuses a record with a library of a relative path or without a size', () => {
  const link = writeLink(folder, runtime, found);
  for (const library of [{ ...link.libraries[0], path: 'x.so' }, { name: 'x', path: '/x' }, null]) {
    writeFileSync(join(folder, 'link.json'), JSON.stringify({ ...link, libraries: [library] }));
    expect(() => readLink(folder)).toThrow('it is not what `cuda use` writes');
  }
});

it('leaves foreign files in its folder alone, and says so', () => {
  writeLink(folder, runtime, found);
  writeFileSync(join(folder, 'mine'), '');
  expect(() => removeLink(folder)).toThrow(expect.objectContaining({ code: 'CUDA_LINK_INVALID', hint: 'Remove it by hand.' }));
  expect(readdirSync(folder)).toEqual(['mine']);
});

it.skipIf(process.getuid?.() === 0)('says when its folder cannot be written', () => {
  mkdirSync(join(root, 'home'));
  chmodSync(join(root, 'home'), 0o500);
  expect(() => writeLink(folder, runtime, found)).toThrow(expect.objectContaining({ code: 'CUDA_LINK_INVALID' }));
  chmodSync(join(root, 'home'), 0o700);
});

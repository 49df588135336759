import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { makeDirectory } from './make-directory.ts';

const folder = mkdtempSync(join(tmpdir(), 'zk0-make-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

it('makes a folder and its parents, and takes one that is there', () => {
  makeDirectory(join(folder, 'a', 'b'));
  makeDirectory(join(folder, 'a', 'b'));
  expect(statSync(join(folder, 'a', 'b')).isDirectory()).toBe(true);
});

it('says in words why there can be none', () => {
  writeFileSync(join(folder, 'file'), '');
  expect(() => { makeDirectory(join(folder, 'file')); }).toThrow(`cannot write to ${join(folder, 'file')}: a file has that name`);
  expect(() => { makeDirectory(join(folder, 'file', 'below')); }).toThrow('a file has that name');
  expect(() => { makeDirectory(join(folder, 'x'.repeat(300))); }).toThrow('a name in the path is too long');
  symlinkSync('loop', join(folder, 'loop'));
  expect(() => { makeDirectory(join(folder, 'loop', 'below')); }).toThrow('links in the path go in a circle');
});

it.skipIf(!existsSync('/proc/self'))('ends where nothing can be made, and Node’s own goes on for ever', () => {
  expect(() => { makeDirectory('/proc/zk0'); }).toThrow('cannot write to /proc/zk0: nothing can be made there');
  expect(() => { makeDirectory('/proc/zk0/below'); }).toThrow('nothing can be made there');
});

it.skipIf(process.getuid?.() === 0)('finds out now what may not be written', () => {
  makeDirectory(join(folder, 'locked'));
  chmodSync(join(folder, 'locked'), 0o500);
  expect(() => { makeDirectory(join(folder, 'locked')); }).toThrow('it may not be written');
  expect(() => { makeDirectory(join(folder, 'locked', 'below')); }).toThrow('its parent may not be written');
});

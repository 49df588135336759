import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeLibrary } from '../../test/fake-library.ts';
import { CudaError } from '../errors.ts';
import { runtimeFolder } from '../session/runtime-folder.ts';
import { sharedLibraryAt } from './binary-facts.ts';
import { parseSharedLibrary, type SharedLibrary } from './elf.ts';

const parse = (bytes: Uint8Array): SharedLibrary => parseSharedLibrary('/a/lib.so', bytes.length, (offset, length) => bytes.subarray(offset, offset + length));

const small = fakeLibrary({ soname: 'liba.so.1', needed: ['libb.so.2', 'libc.so.6'], runpath: '$ORIGIN:/opt/b', text: '1.30.0' });

function failure(bytes: Uint8Array): unknown {
  try {
    parse(bytes);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('libraries of this installation', () => {
  it('say what onnxruntime’s and its binding need', () => {
    const runtime = sharedLibraryAt(join(runtimeFolder(), 'libonnxruntime.so.1'));
    expect(runtime).toMatchObject({ soname: 'libonnxruntime.so.1', runpath: ['$ORIGIN'] });
    expect(runtime.needed).toEqual(expect.arrayContaining(['libstdc++.so.6', 'libc.so.6']));
    expect(sharedLibraryAt(join(runtimeFolder(), 'onnxruntime_binding.node')).needed[0]).toBe('libonnxruntime.so.1');
  });

  it('are named when they are cut off', () => {
    const whole = readFileSync(join(runtimeFolder(), 'onnxruntime_binding.node'));
    for (const length of [0, 3, 63, 64, 500, whole.length >> 1, whole.length - 1]) {
      expect(failure(whole.subarray(0, length))).toMatchObject({ code: 'CUDA_LIBRARY_INVALID', message: expect.stringContaining('/a/lib.so is cut off') as string });
    }
  });
});

describe('shared libraries', () => {
  it('are read: name, needs, folders', () => {
    expect(parse(small)).toEqual({ soname: 'liba.so.1', needed: ['libb.so.2', 'libc.so.6'], runpath: ['$ORIGIN', '/opt/b'] });
    expect(parse(fakeLibrary({}))).toEqual({ soname: undefined, needed: [], runpath: [] });
  });

  it('of other processors and other files are refused by name', () => {
    expect(() => parse(fakeLibrary({ machine: 183 }))).toThrow('/a/lib.so is a library for another processor than x86-64');
    expect(() => parse(Buffer.from('version https://git-lfs.github.com/spec/v1\n'.repeat(3)))).toThrow('/a/lib.so is not a shared library');
    const program = Buffer.from(small);
    program.writeUInt16LE(2, 16);
    expect(() => parse(program)).toThrow('is not a shared library');
    const shifted = Buffer.from(small);
    shifted.writeBigUInt64LE(2n ** 62n, 32);
    expect(() => parse(shifted)).toThrow('is cut off');
  });

  it('are read within bounds whatever their bytes, and fail with one kind of error', () => {
    const edit = fc.tuple(fc.nat(small.length - 1), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.integer({ min: 1, max: 8 }));
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 12 }), fc.nat(small.length), (edits, cut) => {
        const bytes = Buffer.from(small.subarray(0, cut < 8 ? small.length : cut));
        for (const [at, value, length] of edits) bytes.fill(value, at, Math.min(at + length, bytes.length));
        const read = (offset: number, length: number): Uint8Array => {
          expect(offset + length).toBeLessThanOrEqual(bytes.length);
          return bytes.subarray(offset, offset + length);
        };
        try {
          const { needed } = parseSharedLibrary('lib', bytes.length, read);
          expect(needed.length).toBeLessThanOrEqual(512);
        } catch (error) {
          expect(error).toBeInstanceOf(CudaError);
        }
      }),
      { numRuns: 2000, seed: 14 },
    );
  });
});

import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { relaxGarbageCollection } from './garbage-collection.ts';

const KNOWN = process.versions.v8.startsWith('13.6.');

/** Counts full collections of a process that makes 1.2 GB of buffers beside a heap of some size, each of which lives for a while. */
function collections(relaxed: boolean): number {
  const code = `
    import { relaxGarbageCollection } from ${JSON.stringify(new URL('garbage-collection.ts', import.meta.url).href)};
    if (${relaxed}) relaxGarbageCollection(5e6);
    const live = Array.from({ length: 100 }, () => Array.from({ length: 1e4 }, () => ({})));
    const held = [];
    for (let round = 0; round < 60; round++) {
      for (let index = 0; index < 4; index++) held[(round * 4 + index) % 40] = Buffer.alloc(5e6);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    console.log(live.length, held.length);`;
  const said = execFileSync(process.execPath, ['--trace-gc', '--input-type=module', '--disable-warning=ExperimentalWarning', '--eval', code], { encoding: 'utf8' });
  return said.match(/Mark-Compact/g)?.length ?? 0;
}

describe('garbage collection of programs with small parameters', () => {
  it('is left alone where parameters are large, and in other versions of V8', () => {
    expect(relaxGarbageCollection(400e6, '13.6.233')).toBe(false);
    expect(relaxGarbageCollection(5e6, '12.4.254')).toBe(false);
  });

  it.runIf(KNOWN)('happens less often while buffers are made in numbers', () => {
    expect(2 * collections(true)).toBeLessThan(collections(false));
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runConfigSchema, type RunEvent } from '@zk0/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal, JournalError } from './journal.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zk0-journal-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const created = (runId: string): RunEvent => ({ type: 'run-created', runId, config: runConfigSchema.parse({}) });

describe('Journal', () => {
  it('gives back what was written, after it was closed and opened again', () => {
    const path = join(directory, 'journal.sqlite');
    const at = new Date('2026-01-31T12:00:00Z');
    const first = new Journal(path);
    first.append('b', created('b'), at);
    first.append('a', created('a'), at);
    first.append('b', { type: 'run-stopped', reason: 'enough' }, at);
    first.close();
    const second = new Journal(path);
    expect(second.runIds()).toEqual(['b', 'a']);
    expect(second.entries('b')).toEqual([
      { at, event: created('b') },
      { at, event: { type: 'run-stopped', reason: 'enough' } },
    ]);
    expect(second.state('b')?.phase).toBe('stopped');
    expect(second.state('nobody')).toBeNull();
    second.close();
  });

  it('belongs to one process at a time', () => {
    const path = join(directory, 'journal.sqlite');
    const first = new Journal(path);
    expect(() => new Journal(path)).toThrow(JournalError);
    first.close();
  });

  it('says which file is unusable', () => {
    expect(() => new Journal(join(directory, 'missing', 'journal.sqlite'))).toThrow(/missing\/journal\.sqlite/);
  });
});

import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { describeFindings, diskSpaceCheck, runHealthChecks } from './health-checks.ts';

describe('health checks', () => {
  it('go on after one that failed, and keep what to do about it', async () => {
    const findings = await runHealthChecks([
      { name: 'server', find: () => Promise.reject(new InvalidArgumentError('does not answer', { hint: 'Start it.' })) },
      { name: 'video', find: () => ({ attention: 'slow decoder', hint: 'Install node-av.' }) },
      { name: 'Node', find: () => 'v24' },
    ]);
    expect(findings.map(({ state }) => state)).toEqual(['failed', 'attention', 'ok']);
    const text = describeFindings(findings, 80);
    expect(text).toMatch(/FAIL +server +does not answer/);
    expect(text).toMatch(/note +video +slow decoder/);
    expect(text.split('\n').slice(-2)).toEqual(['server: Start it.', 'video: Install node-av.']);
  });

  it('tell the space of a directory that is there or can be, or fail where there can be none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'zk0-health-'));
    writeFileSync(join(folder, 'file'), '');
    const [made, blocked] = await runHealthChecks([diskSpaceCheck(join(folder, 'new')), diskSpaceCheck(join(folder, 'file', 'below'))]);
    expect(made).toMatchObject({ state: 'ok', found: expect.stringMatching(/B free$/) as string });
    expect(blocked).toMatchObject({ state: 'failed', found: expect.stringContaining('is a file') as string });
    expect(existsSync(join(folder, 'new'))).toBe(false);
  });
});

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { changelogEntry, releasedChangelog } from '../release/changelog.ts';
import { stageBothPrograms } from '../release/both-programs.ts';
import { PLATFORMS, stageRuntime } from '../release/native-parts.ts';
import { ROOT, runNode } from './workspace.ts';

const work = mkdtempSync(path.join(tmpdir(), 'zk0-release-'));
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

describe('the changelog of a release', () => {
  const before = '# Changelog\n\n## Unreleased\n\n- New.\n\n## 0.1.0 (2026-01-01)\n\n- Old.\n';

  it('turns what is unreleased into the entry of the version', () => {
    const after = releasedChangelog(before, '0.2.0', '2026-02-03');
    expect(after).toBe('# Changelog\n\n## Unreleased\n\n## 0.2.0 (2026-02-03)\n\n- New.\n\n## 0.1.0 (2026-01-01)\n\n- Old.\n');
    expect(changelogEntry(after, '0.2.0')).toBe('- New.');
    expect(changelogEntry(after, '0.1.0')).toBe('- Old.');
  });

  it('refuses a release that nothing is said about', () => {
    const after = releasedChangelog(before, '0.2.0', '2026-02-03');
    expect(() => releasedChangelog(after, '0.3.0', '2026-02-04')).toThrow('nothing stands under');
    expect(() => changelogEntry(before, '0.9.0')).toThrow('0.9.0');
  });

  it('can be made of the one in this repository', () => {
    expect(releasedChangelog(readFileSync(path.join(ROOT, 'CHANGELOG.md'), 'utf8'), '9.9.9', '2026-02-03')).toContain('## 9.9.9 (2026-02-03)');
  });
});

describe('packages that are generated', () => {
  it.each(PLATFORMS)('onnxruntime for %s installs there alone, with the licence and without a script', (platform) => {
    const stage = path.join(work, platform);
    stageRuntime(ROOT, platform, stage);
    const [os, cpu] = platform.split('-');
    expect(JSON.parse(readFileSync(path.join(stage, 'package.json'), 'utf8'))).toMatchObject({ os: [os], cpu: [cpu], license: 'MIT', publishConfig: { provenance: true } });
    expect(readFileSync(path.join(stage, 'LICENSE'), 'utf8')).toContain('Microsoft');
    expect(JSON.parse(readFileSync(path.join(stage, 'package.json'), 'utf8'))).not.toHaveProperty('scripts');
  });

  it('zk0 has both programs', () => {
    const stage = path.join(work, 'zk0');
    mkdirSync(stage);
    stageBothPrograms(ROOT, stage);
    const { bin, dependencies } = JSON.parse(readFileSync(path.join(stage, 'package.json'), 'utf8')) as { bin: Record<string, string>; dependencies: Record<string, string> };
    expect(Object.keys(bin)).toEqual(['zk0-server', 'zk0-client']);
    expect(Object.keys(dependencies)).toEqual(['@zk0/server', '@zk0/client']);
    for (const file of Object.values(bin)) expect(() => runNode(['--check', path.join(stage, file)], stage)).not.toThrow();
  });
});

describe('what runs zk0 elsewhere', () => {
  it.each(['zk0-server', 'zk0-client'])('the systemd unit of %s is one that systemd takes', (program) => {
    if (!hasCommand('systemd-analyze')) return;
    const unit = readFileSync(path.join(ROOT, `deploy/systemd/${program}.service`), 'utf8');
    // systemd asks that the program is there; any that is will do.
    const file = path.join(work, `${program}.service`);
    writeFileSync(file, unit.replace(`/opt/zk0/bin/${program}`, process.execPath));
    const said = execFileSync('systemd-analyze', ['verify', file], { encoding: 'utf8', stdio: 'pipe' });
    expect(said).toBe('');
  });
});

function hasCommand(name: string): boolean {
  try {
    execFileSync('which', [name], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

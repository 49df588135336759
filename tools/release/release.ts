/**
 * `npm run release [-- SPECIFIER] [--dry-run]`: makes a release of this commit. Nx sets the version of all packages from the conventional
 * commits since the last tag (or to SPECIFIER: 1.2.3, minor, …), CHANGELOG.md's unreleased part becomes its entry, and both are committed and
 * tagged. Pushing the tag publishes (.github/workflows/release.yml).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { releaseVersion } from 'nx/release';
import { releasedChangelog } from './changelog.ts';
import { ROOT } from './stage.ts';

const args = process.argv.slice(2);
const dryRun = args.includes('--dry-run');
const specifier = args.find((arg) => !arg.startsWith('-'));
const git = (...command: string[]): string => execFileSync('git', command, { cwd: ROOT, encoding: 'utf8' });

if (!dryRun && git('status', '--porcelain') !== '') throw new Error('there are changes that are not committed');
const { workspaceVersion } = await releaseVersion({
  dryRun,
  ...(specifier !== undefined && { specifier }),
  gitCommit: false,
  gitTag: false,
  stageChanges: false,
});
if (!workspaceVersion) throw new Error('no commit since the last tag asks for a release; name a version to make one all the same');
const file = path.join(ROOT, 'CHANGELOG.md');
const changelog = releasedChangelog(readFileSync(file, 'utf8'), workspaceVersion, new Date().toISOString().slice(0, 10));
if (dryRun) {
  console.log(`CHANGELOG.md would have an entry for ${workspaceVersion}; nothing was written.`);
} else {
  writeFileSync(file, changelog);
  git('commit', '-a', '-m', `chore(release): ${workspaceVersion}`);
  git('tag', '-a', `v${workspaceVersion}`, '-m', `v${workspaceVersion}`);
  console.log(`Committed and tagged v${workspaceVersion}. To publish it: git push --follow-tags`);
}

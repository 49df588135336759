/**
 * CHANGELOG.md with what stands under `## Unreleased` as the entry of a version, below a new, empty `## Unreleased`.
 *
 * @param date as in 2026-01-31
 * @throws Error when there is nothing under `## Unreleased`
 */
export function releasedChangelog(changelog: string, version: string, date: string): string {
  const [before, rest, ...more] = changelog.split(/^## Unreleased\n/m);
  if (before === undefined || rest === undefined || more.length > 0) throw new Error('CHANGELOG.md needs one section "## Unreleased"');
  if (entryOf(rest) === '') throw new Error('CHANGELOG.md: nothing stands under "## Unreleased"; say what this version changes');
  return `${before}## Unreleased\n\n## ${version} (${date})\n${rest}`;
}

/** What CHANGELOG.md says about a version; for the notes of a release. */
export function changelogEntry(changelog: string, version: string): string {
  const start = changelog.split('\n').findIndex((line) => line.startsWith(`## ${version} (`));
  if (start === -1) throw new Error(`CHANGELOG.md says nothing about version ${version}`);
  return entryOf(changelog.split('\n').slice(start + 1).join('\n'));
}

function entryOf(text: string): string {
  return text.split(/^## /m)[0]!.trim();
}

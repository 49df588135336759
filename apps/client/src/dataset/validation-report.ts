import {
  adviceFor,
  formatEpisodeList,
  type Finding,
  type FindingCode,
  type RepairResult,
  type Severity,
  type ValidationReport,
} from '@zk0/dataset-so100';
import { counted, paragraph } from './page.ts';

/** Findings of one code that are shown; `--json` has more. */
const SHOWN = 3;

const SEVERITIES = { error: 'errors', warning: 'warnings', info: 'notes' } as const;

/** A validation report for people: by severity, then by what was found, each with what to do. */
export function validationText(report: ValidationReport, width: number): string {
  const { uri, checked, findings } = report;
  const lines = [
    ...paragraph(uri, width, 0),
    ...paragraph(
      `${counted(checked.episodes, 'episode')} and ${counted(checked.frames, 'frame')} read, ` +
        `${counted(checked.videoFiles, 'video file')} complete, ${counted(checked.imagesDecoded, 'image')} decoded`,
      width,
      0,
    ),
  ];
  for (const severity of ['error', 'warning', 'info'] as const) {
    const groups = grouped(findings.filter((finding) => finding.severity === severity), ({ code }) => code);
    if (groups.size === 0) continue;
    lines.push('', SEVERITIES[severity].toUpperCase());
    for (const [code, group] of groups) lines.push(...groupLines(code, group, report.counts[severity][code] ?? group.length, width));
  }
  return [...lines, '', ...paragraph(verdict(report), width, 0)].join('\n');
}

/** One line: whether the dataset can be used, and how much was found. */
export function verdict({ ok, counts }: ValidationReport): string {
  const count = (severity: Severity): number => Object.values(counts[severity]).reduce((sum, one) => sum + one, 0);
  const parts = [
    ...(count('error') > 0 ? [counted(count('error'), 'error')] : []),
    ...(count('warning') > 0 ? [counted(count('warning'), 'warning')] : []),
    ...(count('info') > 0 ? [counted(count('info'), 'note')] : []),
  ];
  return `${ok ? 'usable' : 'NOT usable'}: ${parts.length === 0 ? 'nothing found' : parts.join(', ')}`;
}

/** What a repair did, for people. */
export function repairText(result: RepairResult, width: number): string {
  const lines = [...paragraph(`${result.path}: ${counted(result.episodes, 'episode')}, ${counted(result.frames, 'frame')}`, width, 0)];
  const byMessage = grouped(result.changes, ({ message }) => message);
  lines.push('', 'CHANGED');
  for (const [message, changes] of byMessage) {
    const episodes = changes.flatMap(({ episode }) => (episode === undefined ? [] : [episode]));
    lines.push(...paragraph(`${message}${episodes.length === 0 ? '' : ` (episodes ${formatEpisodeList(episodes)})`}`, width, 2, '· '));
  }
  if (result.dropped.length > 0) {
    lines.push('', 'LEFT OUT');
    for (const { episode, reason, message } of result.dropped) {
      lines.push(...paragraph(`episode ${episode} is ${reason === 'duplicate' ? 'a duplicate' : reason}: ${message}`, width, 2, '· '));
    }
  }
  if (result.leftOut.length > 0) lines.push('', ...paragraph(`Not copied, v3.0 as written here has no columns for them: ${result.leftOut.join(', ')}`, width, 0));
  return lines.join('\n');
}

function groupLines(code: FindingCode, group: readonly Finding[], total: number, width: number): string[] {
  const shown = group.slice(0, total <= SHOWN + 1 ? SHOWN + 1 : SHOWN);
  const more = total - shown.length;
  return [
    `  ${code}${total > 1 ? ` ×${total}` : ''}`,
    ...shown.flatMap(({ message }) => paragraph(message, width, 4, '· ')),
    ...(more > 0 ? paragraph(`and ${more} more; --json lists them`, width, 4, '· ') : []),
    ...paragraph(adviceFor(code), width, 4, '→ '),
  ];
}

function grouped<T, K>(list: readonly T[], keyOf: (one: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const one of list) {
    const group = groups.get(keyOf(one));
    if (group === undefined) groups.set(keyOf(one), [one]);
    else group.push(one);
  }
  return groups;
}

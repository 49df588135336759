import { formatEpisodeList, type ValidationReport } from '@zk0/dataset-so100';
import { counted, paragraph } from './page.ts';

/** From this score on an episode counts as sound in what is shown. */
const SOUND = 0.6;

/** How the episodes move, for people: the spread of scores, and the episodes that have little. */
export function scoreText({ scores }: ValidationReport, width: number): string {
  if (scores.length === 0) return '';
  const sorted = scores.map(({ score }) => score).sort((a, b) => a - b);
  const doubtful = scores.filter(({ score }) => score < SOUND);
  const lines = [
    '',
    'SCORES',
    ...paragraph(`${counted(scores.length, 'episode')}: half of them over ${sorted[sorted.length >> 1]!}, the least ${sorted[0]!}`, width, 2, '· '),
  ];
  if (doubtful.length > 0) {
    const list = formatEpisodeList(doubtful.map(({ episode }) => episode));
    lines.push(...paragraph(`under ${SOUND}: the episodes ${list}; to train without them, add ?score>=${SOUND} to the address, in quotes`, width, 2, '· '));
  }
  return lines.join('\n');
}

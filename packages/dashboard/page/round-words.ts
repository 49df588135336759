import { stillOut, waitedFor } from '../src/model/derive.ts';
import type { RoundView } from '../src/model/view.ts';
import { counted, formatDuration, visible } from './format.ts';

/** What became of a round, in sentences. */
export function roundWords(round: RoundView): string {
  const { accepted, refused, closedBecause, skippedBecause, asked: count, wanted } = round;
  const excluded = [...(round.participants?.values() ?? [])].filter(({ state }) => state === 'excluded').length;
  const parts = [`${accepted - excluded} of ${counted(count, 'client')} gave an update that counts`];
  if (excluded > 0) parts.push(`the strategy left ${excluded} out`);
  if (wanted !== undefined) parts.push(`${wanted} were wanted`);
  if (refused > 0) parts.push(`${refused} refused`);
  const sentences = [`${parts.join(', ')}.`];
  if (skippedBecause !== undefined) sentences.push(`The round was skipped: ${visible(skippedBecause)}.`);
  if (closedBecause === 'deadline') sentences.push('It closed at its deadline.');
  if (closedBecause === 'enough') sentences.push('It closed as soon as as many updates as were wanted had come.');
  const out = stillOut(round);
  if (out.length > 0) sentences.push(`It waits for ${out.slice(0, 5).map(visible).join(', ')}${out.length > 5 ? ` and ${out.length - 5} more` : ''}.`);
  const waited = waitedFor(round);
  if (waited !== null) sentences.push(`${visible(waited.clientId)} was last, ${formatDuration(waited.ms)} after the one before.`);
  return sentences.join(' ');
}

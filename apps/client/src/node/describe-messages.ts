import type { JoinMessage } from '@zk0/core';
import type { LocalPrivacy } from './local-privacy.ts';
import type { SendLogLevel } from './send-log.ts';

/** Everything that leaves this machine, for somebody who wants to know before it does. */
export function describeMessages(join: JoinMessage, isPrivate: boolean, privacy: LocalPrivacy | undefined, sent: SendLogLevel): string {
  if (privacy !== undefined) {
    const { clippingNorm, noiseMultiplier } = privacy;
    return [
      'When it joins, this client sends:',
      JSON.stringify(join, null, 2),
      'Every second while it trains, and every ten seconds else: which task, which phase, step of how many.',
      `After each round: the trained weights, at most ${clippingNorm} away from those it began with, with noise of ${clippingNorm * noiseMultiplier} on every`,
      '  value; the number of examples, durations and bytes; in private runs (dp-*) only what follows from the instructions.',
      'No loss, no image, no single state or action, no task text. Nothing has been sent now.',
    ].join('\n');
  }
  return [
    'When it joins, this client sends:',
    JSON.stringify(join, null, 2),
    'Every second while it trains, and every ten seconds else: which task, which phase, step of how many, the loss of the last step.',
    ...(isPrivate ? [] : ['Every fifteen seconds: how much memory the client uses, of how much; of a graphics processor that trains also its name.']),
    sent === 'off' ? 'No line of its log (--send-log).' : `Lines of its log, ${sent === 'error' ? 'errors alone' : `from level ${sent} on`}, without secrets and folders of paths.`,
    'After each round: the trained weights (with the strategy scaffold also their mean gradient), and',
    isPrivate
      ? '  in private runs nothing else; in others the number of examples, losses, norms, durations, bytes.'
      : '  the number of examples, losses, norms, durations, bytes; in private runs (dp-*) only what follows from the instructions.',
    'No image, no single state or action, no task text. Nothing has been sent now.',
  ].join('\n');
}

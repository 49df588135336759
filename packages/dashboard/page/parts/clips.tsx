import type { JSX } from 'preact';
import type { ClipView } from '../../src/model/view.ts';
import { visible } from '../format.ts';
import { confirm } from './dialogs.tsx';

interface ClipButtonProps {
  readonly run: string;
  readonly checkpoint: string;
  readonly clip: ClipView;
}

/** Opens a clip of a trial. */
export function ClipButton({ run, checkpoint, clip: { file, outcome, place } }: ClipButtonProps): JSX.Element {
  const name = visible(outcome.replaceAll('-', ' '));
  const title = `${visible(checkpoint)}: ${name}${place === null ? '' : `, ${visible(place)}`}`;
  const open = (): void => {
    const address = ['/page/clips', ...[run, checkpoint, file].map(encodeURIComponent)].join('/');
    confirm({ title, text: <video src={address} controls autoplay muted loop playsInline />, isNotice: true, does: 'Close', act: () => Promise.resolve() });
  };
  return <button type="button" class="link-button" onClick={open} aria-label={`Show ${title}`}>▶ {name}</button>;
}

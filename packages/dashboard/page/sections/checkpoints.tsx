import type { JSX } from 'preact';
import { checkpoints } from '../../src/model/derive.ts';
import { formatNumber, formatTime, settingText, visible } from '../format.ts';
import { Card, Empty, Hash } from '../parts/card.tsx';
import { run } from '../state.ts';

/** What was saved, and which of it is best. */
export function Checkpoints(): JSX.Element {
  const saved = run.value === null ? [] : checkpoints(run.value);
  if (saved.length === 0) {
    return <Card id="checkpoints" title="Checkpoints"><Empty>None yet. One is saved every {settingText(run.value?.config['checkpointEvery'])} rounds, and after the last.</Empty></Card>;
  }
  return (
    <Card id="checkpoints" title="Checkpoints">
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of checkpoints">
        <table>
          <thead>
            <tr><th scope="col">Round</th><th scope="col">Held-out loss</th><th scope="col">Saved</th><th scope="col">Folder</th><th scope="col">Parameters</th></tr>
          </thead>
          <tbody>
            {saved.map(({ round, isBest }) => (
              <tr key={round.round}>
                <th scope="row">{round.round} {isBest && <span class="badge best">lowest loss</span>}</th>
                <td>{formatNumber(round.evaluation?.loss)}</td>
                <td>{round.endedAt === undefined ? '' : formatTime(round.endedAt)}</td>
                <td class="path"><code>{visible(round.checkpoint ?? '')}</code></td>
                <td>{round.parameters !== undefined && <Hash value={round.parameters} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

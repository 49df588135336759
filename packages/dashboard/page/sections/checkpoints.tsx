import { effect } from '@preact/signals';
import type { JSX } from 'preact';
import { checkpoints } from '../../src/model/derive.ts';
import { formatNumber, formatTime, settingText, visible } from '../format.ts';
import { Card, Empty, Hash } from '../parts/card.tsx';
import { ClipButton } from '../parts/clips.tsx';
import { loadSuccesses, run, successes } from '../state.ts';

/** Rates come from somebody who tries a checkpoint, which nothing announces: they are asked for with each round, and again after a while. */
const ASK_AGAIN_MS = 30_000;
let asked = '';
effect(() => {
  const { runId, rounds } = run.value ?? {};
  const now = `${runId ?? ''} ${rounds?.length ?? 0}`;
  if (runId === undefined || now === asked) return;
  asked = now;
  void loadSuccesses(runId);
});
setInterval(() => {
  if (run.peek() !== null && document.visibilityState === 'visible') void loadSuccesses(run.peek()!.runId);
}, ASK_AGAIN_MS);

const percent = (rate: number): string => (rate * 100).toFixed(0);

/** `18 % (12 – 26) of 120` for a checkpoint that was tried. */
function Success({ path }: { readonly path: string }): JSX.Element | null {
  const tried = successes.value.get(path.split(/[\\/]/).at(-1) ?? '');
  if (tried === undefined) return null;
  const { value: shown } = run;
  return (
    <>
      <span title={tried.tasks.map(visible).join(', ')}>{percent(tried.rate)} % <span class="quiet">({percent(tried.low)} – {percent(tried.high)}) of {tried.trials}</span></span>
      {shown !== null && tried.clips.map((clip) => <ClipButton key={clip.file} run={shown.runId} checkpoint={tried.checkpoint} clip={clip} />)}
    </>
  );
}

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
            <tr><th scope="col">Round</th><th scope="col">Held-out loss</th>{successes.value.size > 0 && <th scope="col">Success (95 %)</th>}<th scope="col">Saved</th><th scope="col">Folder</th><th scope="col">Parameters</th></tr>
          </thead>
          <tbody>
            {saved.map(({ round, isBest }) => (
              <tr key={round.round}>
                <th scope="row">{round.round} {isBest && <span class="badge best">lowest loss</span>}</th>
                <td>{formatNumber(round.evaluation?.loss)}</td>
                {successes.value.size > 0 && <td><Success path={round.checkpoint ?? ''} /></td>}
                <td>{round.endedAt === undefined ? '' : formatTime(round.endedAt)}</td>
                <td class="path"><code>{visible(round.checkpoint ?? '')}</code></td>
                <td>{round.parameters !== undefined && <Hash value={round.parameters} />}</td>
              </tr>
            ))}
            {successes.value.has('checkpoint_best') && (
              <tr>
                <th scope="row">best so far</th>
                <td />
                <td><Success path="checkpoint_best" /></td>
                <td />
                <td class="path"><code>models/checkpoint_best</code></td>
                <td />
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

import { computed } from '@preact/signals';
import type { JSX } from 'preact';
import type { ParticipantView } from '../../src/model/view.ts';
import { formatNumber, visible } from '../format.ts';
import { Card, Empty } from '../parts/card.tsx';
import { VirtualList } from '../parts/virtual-list.tsx';
import { markedClient, run } from '../state.ts';

/** The newest round of which it is known how its updates compare. */
const newest = computed(() =>
  run.value?.rounds.findLast(({ aggregatedAt, participants }) => aggregatedAt !== undefined && [...(participants?.values() ?? [])].some(({ metrics, cosine }) => metrics?.updateNorm !== undefined || cosine !== undefined)),
);
/** Clients whose updates arrived, those first that agree least with the others. */
const rows = computed<readonly ParticipantView[]>(() =>
  [...(newest.value?.participants?.values() ?? [])].filter(({ metrics, cosine }) => metrics?.updateNorm !== undefined || cosine !== undefined).sort((a, b) => (a.cosine ?? 2) - (b.cosine ?? 2) || (a.clientId < b.clientId ? -1 : 1)),
);

/** How far each client moved the parameters, and whether that was where the others moved them. */
export function Updates(): JSX.Element {
  const { value: round } = newest;
  if (round === undefined) return <Card id="updates" title="Updates by client"><Empty>They appear after the first aggregation; private runs have none.</Empty></Card>;
  const longest = Math.max(...rows.value.map(({ metrics }) => metrics?.updateNorm ?? 0), 1e-30);
  return (
    <Card id="updates" title={`Updates by client, round ${round.round}`}>
      <p class="quiet">How far each client moved the parameters, and the cosine of its update to the mean of all: 1 is the same way, below 0 is against the others.</p>
      <VirtualList
        label={`Updates of round ${round.round} by client`}
        class="updates"
        items={rows.value}
        keyOf={({ clientId }) => clientId}
        rowHeight={30}
        maxHeight={300}
        columns={3}
        head={<div role="row" class="row head"><span role="columnheader">Client</span><span role="columnheader">Update norm</span><span role="columnheader">Cosine</span></div>}
        row={({ clientId, metrics, cosine, state, reason }) => (
          <>
            <span role="rowheader" class={markedClient.value === clientId ? 'who marked' : 'who'} title={reason === undefined ? '' : visible(reason)}><bdi>{visible(clientId)}</bdi>{state === 'excluded' && <span class="quiet"> left out</span>}</span>
            <span role="cell" class="measure"><span class="meter" aria-hidden="true"><span style={{ width: `${(100 * (metrics?.updateNorm ?? 0)) / longest}%` }} /></span>{formatNumber(metrics?.updateNorm)}</span>
            <span role="cell" class="measure"><Side cosine={cosine} />{cosine === undefined ? '–' : cosine.toFixed(2).replace('-', '−')}</span>
          </>
        )}
      />
    </Card>
  );
}

/** From the middle to the right for 0 to 1, to the left below. */
function Side({ cosine = 0 }: { readonly cosine: number | undefined }): JSX.Element {
  const width = 50 * Math.abs(cosine);
  return <span class="meter side" aria-hidden="true"><span class={cosine < 0 ? 'against' : ''} style={{ width: `${width}%`, marginLeft: `${cosine < 0 ? 50 - width : 50}%` }} /></span>;
}

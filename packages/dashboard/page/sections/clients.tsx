import { computed, signal } from '@preact/signals';
import type { JSX } from 'preact';
import type { ClientView, TallyView } from '../../src/model/view.ts';
import { formatAgo, formatBytes, formatNumber, memoryInWords, visible } from '../format.ts';
import { Card, Choice, Empty } from '../parts/card.tsx';
import { ClientDetails } from '../parts/client-details.tsx';
import { Sparkline } from '../parts/sparkline.tsx';
import { VirtualList } from '../parts/virtual-list.tsx';
import { clients, markedClient, now, run } from '../state.ts';

type Filter = 'all' | 'working' | 'idle' | 'away' | 'misfit';
type Column = 'client' | 'state' | 'dataset' | 'step' | 'loss' | 'speed' | 'memory' | 'bytes' | 'seen';

interface Line {
  readonly client: ClientView;
  readonly tally: TallyView | undefined;
  /** Samples a second: of the round that is open where it trains, else of its last one. */
  readonly speed: number | undefined;
}

const COLUMNS: readonly (readonly [Column, string])[] = [
  ['client', 'Client'], ['state', 'State'], ['dataset', 'Dataset'], ['step', 'Step'], ['loss', 'Loss'], ['speed', 'Samples/s'], ['memory', 'Memory'], ['bytes', 'Up / down'], ['seen', 'Last seen'],
];
const STATE_NAMES: Readonly<Record<ClientView['state'], string>> = { idle: 'idle', working: 'at work', left: 'left', offline: 'offline' };

const filter = signal<Filter>('all');
const search = signal('');
const sort = signal<{ readonly column: Column; readonly isDown: boolean }>({ column: 'client', isDown: false });

const lines = computed<readonly Line[]>(() => {
  const tallies = run.value?.tallies;
  const batchSize = run.value?.rounds.at(-1)?.batchSize;
  return [...clients.value.values()].map((client) => {
    const tally = tallies?.get(client.clientId);
    const live = client.state === 'working' && client.phase === 'training' && client.rate !== undefined && batchSize !== undefined ? client.rate * batchSize : undefined;
    return { client, tally, speed: live ?? tally?.samplesPerSecond };
  });
});
const shown = computed<readonly Line[]>(() => {
  const words = search.value.trim().toLowerCase();
  const { column, isDown } = sort.value;
  const key = SORT_KEYS[column];
  return lines.value
    .filter(({ client }) => passes(client, filter.value) && (words === '' || `${client.clientId} ${client.name} ${client.dataset}`.toLowerCase().includes(words)))
    .sort((a, b) => (isDown ? -1 : 1) * compare(key(a), key(b)) || compare(a.client.clientId, b.client.clientId));
});

const SORT_KEYS: Readonly<Record<Column, (line: Line) => string | number>> = {
  client: ({ client }) => client.clientId,
  state: ({ client }) => `${client.state} ${client.phase ?? ''}`,
  dataset: ({ client }) => client.dataset,
  step: ({ client }) => (client.totalSteps === undefined || client.totalSteps === 0 ? -1 : (client.step ?? 0) / client.totalSteps),
  loss: (line) => lossOf(line) ?? Infinity,
  speed: ({ speed }) => speed ?? -1,
  memory: ({ client }) => client.memory?.memoryBytes ?? -1,
  bytes: ({ tally }) => (tally === undefined ? -1 : tally.bytesUp + tally.bytesDown),
  seen: ({ client }) => client.lastSeen,
};

/** Who takes part, and who does not and why. */
export function Clients(): JSX.Element {
  const { value: all } = lines;
  const { value: some } = shown;
  const isNarrow = narrow.value;
  const count = (which: Filter): number => all.filter(({ client }) => passes(client, which)).length;
  const options: [Filter, string][] = [['all', `All ${all.length}`], ['working', `At work ${count('working')}`], ['idle', `Idle ${count('idle')}`], ['away', `Away ${count('away')}`]];
  if (count('misfit') > 0) options.push(['misfit', `Excluded ${count('misfit')}`]);
  if (all.length === 0) return <Card id="clients" title="Clients"><Empty>Nobody has joined yet. A client joins with <code>zk0-client start --server URL --dataset PATH</code>.</Empty></Card>;
  const controls = (
    <>
      <Choice label="Which clients" value={filter.value} options={options} onChoose={(which) => (filter.value = which)} />
      <input type="search" class="search" placeholder="Name or dataset" aria-label="Search clients" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
      {isNarrow && <SortChoice />}
    </>
  );
  return (
    <Card id="clients" title="Clients" controls={controls}>
      <VirtualList
        label={`Clients, ${some.length} of ${all.length}`}
        class="clients"
        items={some}
        keyOf={({ client }) => client.clientId}
        rowHeight={isNarrow ? 84 : 40}
        maxHeight={isNarrow ? 504 : 440}
        columns={COLUMNS.length}
        head={isNarrow ? <span class="hidden" role="row">{COLUMNS.map(([column, name]) => <span key={column} role="columnheader">{name}</span>)}</span> : <Head />}
        row={(line) => <Row line={line} />}
      />
      {some.length === 0 && <Empty>No client passes the filter.</Empty>}
      <ClientDetails />
    </Card>
  );
}

function Head(): JSX.Element {
  const { column, isDown } = sort.value;
  return (
    <div role="row" class="row head">
      {COLUMNS.map(([name, title]) => (
        <span key={name} role="columnheader" aria-sort={name === column ? (isDown ? 'descending' : 'ascending') : 'none'} class={name}>
          <button type="button" onClick={() => { sort.value = { column: name, isDown: name === column && !isDown }; }}>
            {title}<span aria-hidden="true">{name === column ? (isDown ? ' ▾' : ' ▴') : ''}</span>
          </button>
        </span>
      ))}
    </div>
  );
}

function SortChoice(): JSX.Element {
  return (
    <label class="sort">
      Sort by{' '}
      <select value={sort.value.column} onChange={(event) => { sort.value = { column: event.currentTarget.value as Column, isDown: false }; }}>
        {COLUMNS.map(([column, name]) => <option key={column} value={column}>{name}</option>)}
      </select>
    </label>
  );
}

function Row({ line }: { readonly line: Line }): JSX.Element {
  const { client, tally, speed } = line;
  const { clientId, state, misfit } = client;
  const isMarked = markedClient.value === clientId;
  return (
    <>
      <span role="rowheader" class="client">
        <button type="button" aria-pressed={isMarked} title="Mark its curve in the charts, and show more of it" onClick={() => (markedClient.value = isMarked ? null : clientId)}>
          <span class={`dot ${misfit === undefined ? state : 'misfit'}`} aria-hidden="true" /><bdi>{visible(clientId)}</bdi>
        </button>
      </span>
      <span role="cell" class="state" title={misfit === undefined ? '' : visible(misfit)}>
        {misfit === undefined ? stateOf(client) : <span class="why"><b>excluded</b> <bdi>{visible(misfit)}</bdi></span>}
      </span>
      <span role="cell" class="dataset" title={visible(client.dataset)}><bdi>{visible(client.dataset)}</bdi></span>
      <span role="cell" class="step">{stepOf(client)}</span>
      <span role="cell" class="loss"><Sparkline values={tally?.losses ?? []} /><span>{formatNumber(lossOf(line))}</span></span>
      <span role="cell" class="speed">{speed === undefined ? '–' : formatNumber(speed)}</span>
      <span role="cell" class="memory" title={memoryInWords(client.memory)}>{memoryOf(client)}</span>
      <span role="cell" class="bytes">{tally === undefined || tally.bytesUp + tally.bytesDown === 0 ? '–' : `${formatBytes(tally.bytesUp)} / ${formatBytes(tally.bytesDown)}`}</span>
      <span role="cell" class="seen">{formatAgo(client.lastSeen, now.value)}</span>
    </>
  );
}

function stateOf({ state, phase }: ClientView): string {
  return state === 'working' ? visible(phase ?? 'at work') : STATE_NAMES[state];
}

/** `2.4 + 9.1 GB`: of the process, and of the graphics processor. */
function memoryOf({ memory }: ClientView): string {
  if (memory === undefined) return '–';
  const own = formatBytes(memory.memoryBytes);
  if (memory.gpu === undefined) return own;
  const gpu = formatBytes(memory.gpu.memoryBytes);
  const unit = own.slice(own.indexOf(' '));
  return `${gpu.endsWith(unit) ? own.slice(0, -unit.length) : own} + ${gpu}`;
}

function stepOf({ state, phase, step, totalSteps }: ClientView): JSX.Element | string {
  if (state !== 'working' || step === undefined || totalSteps === undefined || totalSteps === 0) return '–';
  const isBytes = phase === 'downloading' || phase === 'uploading';
  return (
    <>
      <span class="meter" aria-hidden="true"><span style={{ width: `${Math.min(100, (100 * step) / totalSteps)}%` }} /></span>
      <span>{isBytes ? formatBytes(step) : `${step} / ${totalSteps}`}</span>
    </>
  );
}

function lossOf({ client, tally }: Line): number | undefined {
  return (client.state === 'working' ? client.loss : undefined) ?? tally?.losses.at(-1);
}

function passes({ state, misfit }: ClientView, which: Filter): boolean {
  if (which === 'misfit') return misfit !== undefined;
  if (which === 'away') return state === 'left' || state === 'offline';
  return which === 'all' || state === which;
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const query = matchMedia('(max-width: 760px)');
const narrow = signal(query.matches);
query.addEventListener('change', ({ matches }) => (narrow.value = matches));

import { computed, signal } from '@preact/signals';
import type { JSX } from 'preact';
import { extent, timeline, type SpanKind, type TimelineRow } from '../../src/model/derive.ts';
import type { RoundView } from '../../src/model/view.ts';
import { formatBytes, formatDuration, formatNumber, visible } from '../format.ts';
import { Card, Empty } from '../parts/card.tsx';
import { VirtualList } from '../parts/virtual-list.tsx';
import { roundWords } from '../round-words.ts';
import { loadRound, markedClient, now, run } from '../state.ts';

const KINDS: readonly (readonly [SpanKind, string])[] = [
  ['wait', 'waits'],
  ['download', 'downloads'],
  ['train', 'trains'],
  ['upload', 'uploads'],
  ['aggregate', 'aggregates'],
  ['evaluate', 'evaluates'],
  ['checkpoint', 'checkpoint'],
];
const KIND_NAME = new Map(KINDS);
const STATES: Readonly<Record<string, string>> = {
  assigned: 'not in yet', accepted: 'counts', refused: 'refused', left: 'left', unneeded: 'not needed', excluded: 'left out',
};

/** The round that somebody chose; `null`: the newest. */
const chosen = signal<number | null>(null);
/** Details of a round that the page does not keep. */
const asked = signal<RoundView | null>(null);

const shown = computed<RoundView | null>(() => {
  const rounds = run.value?.rounds.filter(({ round }) => round > 0) ?? [];
  const wanted = chosen.value === null ? rounds.at(-1) : rounds.find(({ round }) => round === chosen.value);
  if (wanted === undefined) return asked.value?.round === chosen.value ? asked.value : null;
  return wanted.participants === null && asked.value?.round === wanted.round ? asked.value : wanted;
});
const isOpen = computed(() => shown.value !== null && shown.value.endedAt === undefined);
/** The time that an open round has come to; one that is over needs no clock. */
const until = computed(() => (isOpen.value ? now.value : 0));

const runId = computed(() => run.value?.runId);
// Another run has other rounds.
runId.subscribe(() => {
  chosen.value = null;
  asked.value = null;
});

/** Who did what when in a round, and who was waited for. */
export function Rounds(): JSX.Element {
  const { value: round } = shown;
  if (round === null) return <Card id="rounds" title="Round"><Empty>The first round has not begun.</Empty></Card>;
  const rows = timeline(round, until.value);
  const [from, to] = extent(round, until.value);
  return (
    <Card id="rounds" title={`Round ${round.round}`} controls={<RoundChoice round={round} />}>
      <p class="round-words">{roundWords(round)}</p>
      {round.participants === null ? (
        <p><button type="button" onClick={() => { ask(round.round); }}>Show who did what in round {round.round}</button></p>
      ) : (
        <>
          <VirtualList
            label={`Timeline of round ${round.round}, ${formatDuration(to - from)} long`}
            class="timeline"
            items={rows}
            keyOf={({ who, isServer }) => (isServer ? ' server' : who)}
            rowHeight={26}
            maxHeight={26 * 10}
            columns={3}
            row={(row) => <Row row={row} from={from} to={to} />}
          />
          <ul class="legend">
            {KINDS.map(([kind, name]) => <li key={kind}><span class={`swatch ${kind}`} aria-hidden="true" />{name}</li>)}
            <li class="where">{formatDuration(to - from)}</li>
          </ul>
        </>
      )}
    </Card>
  );
}

function Row({ row: { who, isServer, spans, participant }, from, to }: { readonly row: TimelineRow; readonly from: number; readonly to: number }): JSX.Element {
  const percent = (at: number): number => (100 * (Math.min(at, to) - from)) / (to - from);
  const text = spans.filter(({ kind }) => kind !== 'wait').map(({ kind, from: a, to: b }) => `${KIND_NAME.get(kind)!} ${formatDuration(b - a)}`).join(', ');
  const metrics = participant?.metrics;
  const more = [
    participant?.reason === undefined ? '' : visible(participant.reason),
    metrics?.loss === undefined ? '' : `loss ${formatNumber(metrics.loss)}`,
    metrics?.updateNorm === undefined ? '' : `update norm ${formatNumber(metrics.updateNorm)}`,
    metrics?.bytesUp === undefined ? '' : `${formatBytes(metrics.bytesDown)} down, ${formatBytes(metrics.bytesUp)} up`,
  ].filter((part) => part !== '').join('; ');
  const state = isServer ? '' : (STATES[participant!.state] ?? '');
  return (
    <>
      <span role="rowheader" class={markedClient.value === who ? 'who marked' : 'who'}><bdi>{isServer ? 'server' : visible(who)}</bdi></span>
      <span role="cell" class="bars" title={[text, more].filter((part) => part !== '').join('; ')}>
        {spans.map(({ kind, from: a, to: b }) => (
          <span key={kind} class={`bar ${kind}`} style={{ left: `${percent(a)}%`, width: `${Math.max(0.2, percent(b) - percent(a))}%` }} />
        ))}
        <span class="hidden">{text === '' ? 'waits' : text}</span>
      </span>
      <span role="cell" class={`outcome ${participant?.state ?? ''}`} title={more}>{state}</span>
    </>
  );
}

function RoundChoice({ round }: { readonly round: RoundView }): JSX.Element {
  const last = run.value?.rounds.at(-1)?.round ?? round.round;
  const go = (to: number): void => {
    chosen.value = to >= last ? null : Math.max(1, to);
    const known = run.value?.rounds.find((one) => one.round === chosen.value);
    if (chosen.value !== null && known?.participants == null) ask(chosen.value);
  };
  return (
    <div class="choice" role="group" aria-label="Which round">
      <button type="button" onClick={() => { go(round.round - 1); }} disabled={round.round <= 1}>Earlier</button>
      <button type="button" onClick={() => { go(round.round + 1); }} disabled={round.round >= last}>Later</button>
      <button type="button" onClick={() => { go(last); }} aria-pressed={chosen.value === null}>Newest</button>
    </div>
  );
}

function ask(round: number): void {
  const { value } = run;
  if (value === null) return;
  // Where it cannot be had, the button stays, to try again.
  loadRound(value.runId, round).then((loaded) => (asked.value = loaded), () => undefined);
}

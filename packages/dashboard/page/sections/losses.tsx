import { computed, signal } from '@preact/signals';
import type { JSX } from 'preact';
import { aligned, roundTimes, smoothed } from '../../src/model/derive.ts';
import type { RunView } from '../../src/model/view.ts';
import { counted, formatDuration, formatNumber, visible } from '../format.ts';
import { Card, Choice, Empty } from '../parts/card.tsx';
import { Legend, ValuesTable } from '../parts/legend.tsx';
import { Plot, type Curve } from '../parts/plot.tsx';
import { markedClient, run } from '../state.ts';

/** From so many clients on their lines are drawn so thin that their density shows. */
const CROWD = 20;

const xAxis = signal<'round' | 'time'>('round');
const isLog = signal(false);
const smoothing = signal(0);
const pointed = signal<number | null>(null);

type Points = readonly (readonly [x: number, y: number])[];

/** Loss curves: the server's on held-out recordings, the clients' on their own. */
const chart = computed(() => {
  const { value } = run;
  return value === null ? null : lossCurves(value, xAxis.value, smoothing.value, markedClient.value);
});

interface LossChart {
  readonly xs: readonly number[];
  readonly curves: readonly Curve[];
  readonly clients: number;
}

function lossCurves(shown: RunView, x: 'round' | 'time', weight: number, marked: string | null): LossChart {
  const times = roundTimes(shown);
  const at = (round: number): number | undefined => (x === 'round' ? round : times.get(round));
  const points = (pairs: Points): Points => pairs.flatMap(([round, y]) => {
    const place = at(round);
    return place === undefined ? [] : [[place, y] as const];
  });
  const clients = [...shown.tallies.values()].filter(({ losses, clientId }) => losses.length > 0 && clientId !== marked);
  const own = marked === null ? undefined : shown.tallies.get(marked);
  const lines = [
    ...clients.map(({ losses }) => points(pairsOf(losses))),
    points(shown.rounds.flatMap(({ round, clientLoss }): Points => (clientLoss === undefined ? [] : [[round, clientLoss]]))),
    ...(own === undefined ? [] : [points(pairsOf(own.losses))]),
    points(shown.rounds.flatMap(({ round, evaluation }): Points => (evaluation == null ? [] : [[round, evaluation.loss]]))),
  ];
  const { xs, ys } = aligned(lines);
  const curves = ys.map((values, index): Curve => {
    const curve = { values: smoothed(values, weight) };
    if (index < clients.length) return { ...curve, name: clients[index]!.clientId, colour: clients.length > CROWD ? '--crowd-line' : '--client-line', width: 1 };
    if (index === clients.length) return { ...curve, name: 'mean of the clients', colour: '--mean-line', width: 2.5, ...(clients.length <= CROWD && { dash: [6, 4] }) };
    if (index === ys.length - 1) return { ...curve, name: 'held out', colour: '--server-line', width: 3 };
    return { ...curve, name: marked!, colour: '--marked-line', width: 2.5 };
  });
  return { xs, curves, clients: clients.length };
}

function pairsOf(flat: readonly number[]): Points {
  return Array.from({ length: flat.length / 2 }, (_, index) => [flat[2 * index]!, flat[2 * index + 1]!] as const);
}

export function Losses(): JSX.Element {
  const { value } = chart;
  const controls = (
    <>
      <Choice label="Horizontal axis" value={xAxis.value} options={[['round', 'Rounds'], ['time', 'Time']]} onChoose={(x) => (xAxis.value = x)} />
      <Choice label="Vertical axis" value={isLog.value ? 'log' : 'linear'} options={[['linear', 'Linear'], ['log', 'Log']]} onChoose={(scale) => (isLog.value = scale === 'log')} />
      <label class="slider">
        Smoothing
        <input type="range" min="0" max="0.95" step="0.05" value={smoothing.value} onInput={(event) => (smoothing.value = Number(event.currentTarget.value))} />
      </label>
    </>
  );
  if (value === null || value.xs.length === 0) {
    return <Card id="losses" title="Loss" wide="two-thirds" controls={controls}><Empty>Losses appear after the first evaluation, and after the first round.</Empty></Card>;
  }
  const { xs, curves, clients } = value;
  const bold = curves.slice(clients);
  const index = pointed.value !== null && pointed.value < xs.length ? pointed.value : xs.length - 1;
  const where = xAxis.value === 'round' ? `round ${xs[index]!}` : `after ${formatDuration(xs[index]! * 1000)}`;
  const items = [
    ...bold.toReversed().map(({ name, colour, values }) => ({ name: visible(name), colour, value: formatNumber(values[index]) })),
    ...(clients > 0 ? [{ name: `${counted(clients, 'client')}${markedClient.value === null ? '' : ' more'}`, colour: '--client-line', isThin: true }] : []),
  ];
  const hasClients = curves.some(({ values, name }) => name !== 'held out' && values.some((one) => one !== null));
  return (
    <Card id="losses" title="Loss" wide="two-thirds" controls={controls}>
      <Plot label={describe(value)} xs={xs} curves={curves} x={xAxis.value} isLog={isLog.value} height={280} onPoint={(point) => (pointed.value = point)} />
      <Legend items={items} where={where} />
      {!hasClients && (run.value?.rounds.length ?? 0) > 1 && <p class="quiet">Clients of a private run report no losses.</p>}
      <ValuesTable
        of="loss"
        count={xs.length}
        columns={[
          { header: xAxis.value === 'round' ? 'Round' : 'Seconds', cell: (row) => formatNumber(xs[row]) },
          ...bold.toReversed().map(({ name, values }) => ({ header: visible(name), cell: (row: number) => formatNumber(values[row]) })),
        ]}
      />
    </Card>
  );
}

function describe({ curves, clients }: LossChart): string {
  const held = curves.at(-1)!.values.filter((one) => one !== null);
  const words = held.length === 0 ? 'no evaluation yet' : `held-out loss from ${formatNumber(held[0])} to ${formatNumber(held.at(-1))} over ${counted(held.length, 'evaluation')}`;
  return `Loss curves of the server and ${counted(clients, 'client')}: ${words}. The values are in the table below.`;
}

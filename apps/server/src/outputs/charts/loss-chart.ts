import { clientLoss } from '@zk0/core';
import { AXIS_LINE, INK, label, MUTED, PALETTE, renderPng, SPLIT_LINE, tick, type ChartOption, type ChartSeries } from '@zk0/charts';
import type { RoundRecord } from '../types.ts';
import { clientIds, missingNote, perRound, quantile, roundAxis } from './series.ts';
import { clientLabel } from './text.ts';

const SIZE = { width: 1000, height: 560 };
const LEGEND_LEFT = 762;
/** Names of the two stacked series that make the band; the lower one is not drawn. */
const BAND = '10–90 % of clients';
const BAND_FLOOR = 'below 10 %';
/** More clients than this are drawn as a median with a band: single lines could not be told apart. */
const MAX_CLIENT_LINES = PALETTE.length;
/** More datasets than this would hide the line of all together. */
const MAX_DATASET_LINES = 4;
/** With more rounds than this, dots would run together. */
const MAX_ROUNDS_WITH_DOTS = 40;

/** Held-out loss of the global model and training loss of the clients, over rounds. */
export function renderLossChart(rounds: readonly RoundRecord[]): Promise<Uint8Array> {
  return renderPng(lossChart(rounds), SIZE);
}

/** The chart as data; separate from the rendering for tests. */
export function lossChart(rounds: readonly RoundRecord[]): ChartOption {
  const axis = roundAxis(rounds);
  const series = [serverSeries(axis, rounds), ...datasetSeries(axis, rounds), ...clientSeries(axis, rounds)];
  return {
    title: {
      text: 'Policy loss by round',
      subtext: subtitle(rounds),
      left: 24,
      top: 14,
      textStyle: { fontSize: 19, fontWeight: 600, color: INK },
      subtextStyle: { fontSize: 13, color: MUTED },
    },
    legend: {
      orient: 'vertical',
      left: LEGEND_LEFT,
      top: 84,
      itemWidth: 22,
      itemHeight: 8,
      itemGap: 12,
      textStyle: { fontSize: 12, color: INK, width: 186, overflow: 'truncate' },
      data: series.flatMap(({ name }) => {
        if (name === BAND_FLOOR) return [];
        return [name === BAND ? { name: BAND, icon: 'roundRect' } : String(name)];
      }),
    },
    grid: { left: 76, right: SIZE.width - LEGEND_LEFT + 20, top: 84, bottom: 74 },
    xAxis: {
      type: 'category',
      data: axis,
      boundaryGap: axis.length === 1,
      name: 'round',
      nameLocation: 'middle',
      nameGap: 32,
      nameTextStyle: { fontSize: 13, color: MUTED },
      axisLine: AXIS_LINE,
      axisTick: { show: false },
      axisLabel: { color: INK, fontSize: 12 },
    },
    yAxis: {
      type: 'value',
      min: 0,
      name: 'flow-matching loss',
      nameLocation: 'middle',
      nameGap: 50,
      nameTextStyle: { fontSize: 13, color: MUTED },
      axisLabel: { color: INK, fontSize: 12, formatter: tick },
      splitLine: SPLIT_LINE,
    },
    graphic: {
      type: 'text',
      left: 24,
      bottom: 12,
      style: { text: missingNote(rounds), fill: MUTED, font: '12px Arimo' },
    },
    series,
  };
}

function subtitle(rounds: readonly RoundRecord[]): string {
  const evaluated = rounds.filter(({ server }) => server !== null && Number.isFinite(server.policyLoss));
  const first = evaluated[0]?.server?.policyLoss;
  const last = evaluated.at(-1);
  if (first === undefined || last?.server == null) return 'Not evaluated on held-out data yet';
  const change = first === 0 || evaluated.length < 2 ? '' : ` (${signed((last.server.policyLoss / first - 1) * 100)} %)`;
  return `Held-out: ${first.toFixed(4)} in round ${evaluated[0]!.round}, ${last.server.policyLoss.toFixed(4)} in round ${last.round}${change}`;
}

function signed(percent: number): string {
  return `${percent < 0 ? '−' : '+'}${Math.abs(percent).toFixed(0)}`;
}

function serverSeries(axis: readonly number[], rounds: readonly RoundRecord[]): ChartSeries {
  return {
    type: 'line',
    name: 'global model, held-out',
    data: perRound(axis, rounds, (record) => record.server?.policyLoss),
    // Rounds may be evaluated only now and then; the curve is one all the same.
    connectNulls: true,
    symbol: 'circle',
    symbolSize: axis.length > MAX_ROUNDS_WITH_DOTS ? 0 : 7,
    lineStyle: { width: 3.2, color: INK },
    itemStyle: { color: INK },
    z: 10,
  };
}

function datasetSeries(axis: readonly number[], rounds: readonly RoundRecord[]): ChartSeries[] {
  const names = [...new Set(rounds.flatMap(({ server }) => server?.datasets.map(({ name }) => name) ?? []))];
  if (names.length < 2 || names.length > MAX_DATASET_LINES) return [];
  return names.map((name, index) => ({
    type: 'line',
    name: label(`held-out: ${name}`),
    data: perRound(axis, rounds, (record) => record.server?.datasets.find((dataset) => dataset.name === name)?.policyLoss),
    connectNulls: true,
    symbol: 'none',
    lineStyle: { width: 1.6, color: INK, type: ([[6, 4], [2, 3], [10, 4], [1, 5]] as const)[index]!.slice(), opacity: 0.75 },
    itemStyle: { color: INK },
  }));
}

function clientSeries(axis: readonly number[], rounds: readonly RoundRecord[]): ChartSeries[] {
  const ids = clientIds(rounds);
  if (ids.length > MAX_CLIENT_LINES) return clientBand(axis, rounds, ids.length);
  const datasets = new Map(rounds.flatMap(({ clients }) => clients.map(({ clientId, datasetName }) => [clientId, datasetName])));
  return ids.map((id, index) => ({
    type: 'line',
    name: label(datasets.has(id) ? `${clientLabel(id)}: ${datasets.get(id)!}` : clientLabel(id)),
    data: perRound(axis, rounds, ({ clients }) => {
      const client = clients.find(({ clientId }) => clientId === id);
      return client && clientLoss(client.metrics);
    }),
    // A dot also shows a round between two gaps, where there is no line.
    symbol: 'circle',
    symbolSize: axis.length > MAX_ROUNDS_WITH_DOTS ? 2 : 4,
    lineStyle: { width: 1.8, color: PALETTE[index]! },
    itemStyle: { color: PALETTE[index]! },
  }));
}

function clientBand(axis: readonly number[], rounds: readonly RoundRecord[], count: number): ChartSeries[] {
  const at = (q: number): (number | null)[] =>
    perRound(axis, rounds, ({ clients }) => {
      const losses = clients.map(({ metrics }) => clientLoss(metrics)).filter((loss) => loss !== undefined && Number.isFinite(loss));
      return losses.length === 0 ? undefined : quantile(losses.sort((a, b) => a! - b!) as number[], q);
    });
  const [low, high] = [at(0.1), at(0.9)];
  const invisible = { type: 'line', symbol: 'none', stack: 'band', lineStyle: { width: 0 }, silent: true } as const;
  return [
    { ...invisible, name: BAND_FLOOR, data: low },
    {
      ...invisible,
      name: BAND,
      data: high.map((value, index) => (value === null ? null : value - low[index]!)),
      areaStyle: { color: PALETTE[0], opacity: 0.22 },
      itemStyle: { color: PALETTE[0], opacity: 0.4 },
    },
    {
      type: 'line',
      name: `median of ${count} clients`,
      data: at(0.5),
      symbol: 'none',
      lineStyle: { width: 2, color: PALETTE[0] },
      itemStyle: { color: PALETTE[0] },
    },
  ];
}

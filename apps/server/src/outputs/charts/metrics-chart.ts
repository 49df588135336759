import { AXIS_LINE, INK, MUTED, PALETTE, renderPng, SPLIT_LINE, tick, type ChartOption, type ChartSeries } from '@zk0/charts';
import { aggregatedMetrics } from '../reports.ts';
import type { RoundRecord } from '../types.ts';
import { perRound, roundAxis } from './series.ts';

const SIZE = { width: 1200, height: 680 };
const COLUMNS = 3;
const ROWS = 2;
const TOP = 70;
const PANEL = { width: SIZE.width / COLUMNS, height: (SIZE.height - TOP) / ROWS };

interface Panel {
  readonly title: string;
  readonly series: readonly ChartSeries[];
}

/** What happened in the clients and in the aggregation, six small charts in one picture. */
export function renderMetricsChart(rounds: readonly RoundRecord[]): Promise<Uint8Array> {
  return renderPng(metricsChart(rounds), SIZE);
}

/** The chart as data; separate from the rendering for tests. */
export function metricsChart(rounds: readonly RoundRecord[]): ChartOption {
  const trained = rounds.filter(({ round }) => round > 0);
  const axis = roundAxis(trained);
  const panels = panelsOf(axis, trained);
  return {
    title: [
      {
        text: 'Federated metrics by round',
        left: 24,
        top: 14,
        textStyle: { fontSize: 19, fontWeight: 600, color: INK },
      },
      ...panels.map(({ title }, index) => ({
        text: title,
        left: corner(index).x + 24,
        top: corner(index).y,
        textStyle: { fontSize: 13, fontWeight: 600 as const, color: INK },
      })),
    ],
    grid: panels.map((_, index) => ({
      left: corner(index).x + 70,
      top: corner(index).y + 32,
      width: PANEL.width - 100,
      height: PANEL.height - 92,
    })),
    xAxis: panels.map((_, index) => ({
      type: 'category' as const,
      gridIndex: index,
      data: axis,
      name: 'round',
      nameLocation: 'middle' as const,
      nameGap: 26,
      nameTextStyle: { fontSize: 11, color: MUTED },
      axisLine: AXIS_LINE,
      axisTick: { show: false },
      axisLabel: { color: INK, fontSize: 11 },
    })),
    yAxis: panels.map((_, index) => ({
      type: 'value' as const,
      gridIndex: index,
      min: 0,
      splitNumber: 4,
      axisLabel: { color: INK, fontSize: 11, formatter: tick },
      splitLine: SPLIT_LINE,
    })),
    series: panels.flatMap(({ series }, index) =>
      series.map((one) => ({ ...one, xAxisIndex: index, yAxisIndex: index })),
    ),
  };
}

function corner(index: number): { readonly x: number; readonly y: number } {
  return { x: (index % COLUMNS) * PANEL.width, y: TOP + Math.floor(index / COLUMNS) * PANEL.height };
}

function panelsOf(axis: readonly number[], rounds: readonly RoundRecord[]): Panel[] {
  const values = (name: string): (number | null)[] => perRound(axis, rounds, (record) => aggregatedMetrics(record)[name]);
  const count = (of: (record: RoundRecord) => number): (number | null)[] => perRound(axis, rounds, of);
  return [
    { title: 'Client loss, mean ± standard deviation', series: spread(values('avg_client_loss'), values('std_client_loss')) },
    { title: 'Proximal loss of clients, mean', series: [lineOf(values('avg_client_proximal_loss'), PALETTE[3])] },
    { title: 'Gradient norm of clients, mean', series: [lineOf(values('avg_client_grad_norm'), PALETTE[1])] },
    { title: 'Norm of the global update', series: [lineOf(values('param_update_norm'), PALETTE[2])] },
    { title: 'Learning rate', series: [lineOf(values('lr'), PALETTE[5])] },
    {
      title: 'Clients: counted, and asked in vain (red)',
      series: [
        barOf(count(({ clients }) => clients.length), PALETTE[0]),
        barOf(count(({ missing }) => missing?.length ?? 0), PALETTE[4]),
      ],
    },
  ];
}

function lineOf(data: (number | null)[], color: string): ChartSeries {
  return {
    type: 'line',
    data,
    symbol: 'circle',
    symbolSize: data.length > 40 ? 2 : 5,
    lineStyle: { width: 2.2, color },
    itemStyle: { color },
  };
}

function barOf(data: (number | null)[], color: string): ChartSeries {
  return { type: 'bar', stack: 'clients', data, itemStyle: { color }, barMaxWidth: 28 };
}

function spread(mean: (number | null)[], deviation: (number | null)[]): ChartSeries[] {
  const invisible = { type: 'line', symbol: 'none', stack: 'band', lineStyle: { width: 0 }, silent: true } as const;
  // A loss is not negative; the band must not seem to say so.
  const low = mean.map((value, index) => (value === null ? null : Math.max(0, value - (deviation[index] ?? 0))));
  const high = mean.map((value, index) => (value === null ? null : value + (deviation[index] ?? 0) - low[index]!));
  return [
    { ...invisible, data: low },
    { ...invisible, data: high, areaStyle: { color: PALETTE[0], opacity: 0.22 } },
    lineOf(mean, PALETTE[0]),
  ];
}

import { AXIS_LINE, INK, label, MUTED, PALETTE, renderPng, SPLIT_LINE, type ChartOption } from '@zk0/charts';
import type { VirtualSummary } from './summarize.ts';

const SIZE = { width: 1200, height: 860 };
const SHARES = [
  { key: 'useful', name: 'on updates that counted', color: PALETTE[2] },
  { key: 'wasted', name: 'on others', color: PALETTE[4] },
  { key: 'waiting', name: 'waiting', color: PALETTE[7] },
  { key: 'away', name: 'away', color: '#C4CBD1' },
] as const;

/** Draws simulations beside each other: loss by time and by bytes, what clients spend their time with, who contributes. */
export function renderVirtualChart(summaries: readonly VirtualSummary[]): Promise<Uint8Array> {
  return renderPng(virtualChart(summaries), SIZE);
}

/** The chart as data; separate from the rendering for tests. */
export function virtualChart(summaries: readonly VirtualSummary[]): ChartOption {
  const grids = [[70, 110], [670, 110], [70, 520], [670, 520]].map(([left, top]) => ({ left: left!, top: top!, width: 490, height: 270 }));
  const axisName = { nameLocation: 'middle' as const, nameTextStyle: { fontSize: 13, color: MUTED } };
  const axis = { ...axisName, axisLine: AXIS_LINE, axisLabel: { color: INK, fontSize: 12 }, splitLine: SPLIT_LINE };
  const values = (index: number, name: string): object => ({ type: 'value', gridIndex: index, name, nameGap: 28, ...axis, splitLine: { show: false } });
  const logarithms = (index: number): object => ({ type: 'log', gridIndex: index, name: 'loss above the optimum', nameGap: 50, ...axis });
  const color = (index: number): string => PALETTE[index % PALETTE.length]!;
  const points = (what: (point: VirtualSummary['losses'][number]) => number) => (summary: VirtualSummary): [number, number][] =>
    summary.losses.filter(({ loss }) => loss > 0).map((point) => [what(point), point.loss]);
  const lines = (at: number, data: (summary: VirtualSummary) => [number, number][], symbol = 'none'): object[] =>
    summaries.map((summary, index) => ({
      type: 'line', name: summary.name, xAxisIndex: at, yAxisIndex: at, data: data(summary), symbol, symbolSize: 6,
      lineStyle: { width: 2, color: color(index) }, itemStyle: { color: color(index) },
    }));
  const names = summaries.map(({ name }) => label(name));
  return {
    title: [
      { text: 'Virtual clients', left: 24, top: 14, textStyle: { fontSize: 19, fontWeight: 600, color: INK } },
      ...['loss by time', 'loss by bytes', 'what clients spend their time with', 'updates that counted, by the speed of clients'].map((text, index) => ({
        text, left: grids[index]!.left, top: grids[index]!.top - 34, textStyle: { fontSize: 14, fontWeight: 600 as const, color: INK },
      })),
    ],
    legend: [
      { data: names, top: 16, right: 24, textStyle: { color: INK, fontSize: 13 } },
      { data: SHARES.map(({ name }) => name), top: 826, left: 70, textStyle: { color: INK, fontSize: 12 } },
    ],
    grid: grids,
    xAxis: [
      values(0, 'virtual hours'),
      values(1, 'terabytes up and down'),
      { type: 'value', gridIndex: 2, max: 1, ...axis, axisLabel: { color: INK, fontSize: 12, formatter: (share: number) => `${share * 100} %` } },
      values(3, 'tenth of the clients, the slowest first'),
    ],
    yAxis: [
      logarithms(0),
      logarithms(1),
      { type: 'category', gridIndex: 2, data: names, inverse: true, axisLine: AXIS_LINE, axisTick: { show: false }, axisLabel: { color: INK, fontSize: 12, width: 66, overflow: 'break' } },
      { type: 'value', gridIndex: 3, name: 'updates of a client', nameGap: 40, ...axis },
    ],
    series: [
      ...lines(0, points(({ seconds }) => seconds / 3600)),
      ...lines(1, points(({ bytesUp, bytesDown }) => (bytesUp + bytesDown) / 1e12)),
      ...SHARES.map(({ key, name, color: own }) => ({
        type: 'bar', stack: 'time', name, xAxisIndex: 2, yAxisIndex: 2, barMaxWidth: 34, data: summaries.map(({ time }) => time[key]), itemStyle: { color: own },
      })),
      ...lines(3, ({ fairness }) => fairness.updatesBySpeed.map((count, index) => [index + 1, count]), 'circle'),
    ],
  };
}

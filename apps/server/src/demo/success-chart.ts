import { AXIS_LINE, INK, MUTED, PALETTE, renderPng, SPLIT_LINE, type ChartOption } from '@zk0/charts';
import { formatRate, type SuccessRate } from '@zk0/rollout';

/** A bar of the chart. */
export interface SuccessBar extends Pick<SuccessRate, 'rate' | 'low' | 'high'> {
  readonly name: string;
  /** Drawn in the colour of what the chart is about. */
  readonly highlight: boolean;
}

const SIZE = { width: 900, height: 480 };
/** Points. */
const BAR_WIDTH = 46;

/** Success rates beside each other with their 95 % intervals. */
export function renderSuccessChart(title: string, subtitle: string, bars: readonly SuccessBar[]): Promise<Uint8Array> {
  return renderPng(successChart(title, subtitle, bars), SIZE);
}

/** The chart as data; separate from the rendering for tests. */
export function successChart(title: string, subtitle: string, bars: readonly SuccessBar[]): ChartOption {
  const percent = (share: number): number => share * 100;
  return {
    title: {
      text: title,
      subtext: subtitle,
      left: 24,
      top: 14,
      textStyle: { fontSize: 19, fontWeight: 600, color: INK },
      subtextStyle: { fontSize: 13, color: MUTED },
    },
    grid: { left: 70, right: 24, top: 84, bottom: 70 },
    xAxis: {
      type: 'category',
      data: bars.map((bar) => `${bar.name}\n${formatRate(bar)}`),
      axisLine: AXIS_LINE,
      axisTick: { show: false },
      axisLabel: { color: INK, fontSize: 12, lineHeight: 18, interval: 0 },
    },
    yAxis: {
      type: 'value',
      min: 0,
      max: 100,
      name: 'trials in which the task was done, %',
      nameLocation: 'middle',
      nameGap: 42,
      nameTextStyle: { fontSize: 13, color: MUTED },
      axisLabel: { color: INK, fontSize: 12 },
      splitLine: SPLIT_LINE,
    },
    series: [
      {
        type: 'bar',
        barWidth: BAR_WIDTH,
        data: bars.map((bar) => ({
          value: percent(bar.rate),
          itemStyle: { color: bar.highlight ? PALETTE[1] : PALETTE[0] },
        })),
      },
      // The intervals, each a line of its own from the lower to the upper end.
      ...bars.map((bar, index) => ({
        type: 'line' as const,
        data: intervalPoints(index, percent(bar.low), percent(bar.high)),
        symbol: 'rect',
        symbolSize: [14, 2],
        lineStyle: { color: INK, width: 1.5 },
        itemStyle: { color: INK },
        silent: true,
      })),
    ],
  };
}

function intervalPoints(index: number, low: number, high: number): [number, number][] {
  return [
    [index, low],
    [index, high],
  ];
}

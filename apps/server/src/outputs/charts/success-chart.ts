import { AXIS_LINE, INK, label, MUTED, PALETTE, renderPng, SPLIT_LINE, type ChartOption, type ChartSeries } from '@zk0/charts';
import { formatRate } from '@zk0/rollout';
import type { SuccessRecord } from '../types.ts';

const SIZE = { width: 1000, height: 480 };
/** More places than this would hide the line of all together. */
const MAX_PLACE_LINES = PALETTE.length;

/** Success by round with its 95 % interval, all tasks and places together and each by itself. */
export function renderSuccessByRound(records: readonly SuccessRecord[]): Promise<Uint8Array> {
  return renderPng(successByRound(records), SIZE);
}

/** The chart as data; separate from the rendering for tests. */
export function successByRound(records: readonly SuccessRecord[]): ChartOption {
  const last = records.at(-1)!;
  const series = [...interval(records), together(records), ...byPlace(records)];
  return {
    title: {
      text: 'Success by round',
      subtext: `Round ${last.round}: ${formatRate(last)} of ${last.trials} trials, with the 95 % interval`,
      left: 24,
      top: 14,
      textStyle: { fontSize: 19, fontWeight: 600, color: INK },
      subtextStyle: { fontSize: 13, color: MUTED },
    },
    legend: { orient: 'vertical', left: 762, top: 84, itemGap: 12, textStyle: { fontSize: 12, color: INK, width: 186, overflow: 'truncate' }, data: series.slice(2).map(({ name }) => String(name)) },
    grid: { left: 76, right: 258, top: 84, bottom: 60 },
    xAxis: {
      type: 'value',
      name: 'round',
      nameLocation: 'middle',
      nameGap: 32,
      nameTextStyle: { fontSize: 13, color: MUTED },
      min: 0,
      axisLine: AXIS_LINE,
      axisLabel: { color: INK, fontSize: 12 },
      splitLine: { show: false },
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
    series,
  };
}

function together(records: readonly SuccessRecord[]): ChartSeries {
  return {
    type: 'line',
    name: 'all trials',
    data: records.map(({ round, rate }) => [round, 100 * rate]),
    symbol: 'circle',
    symbolSize: 7,
    lineStyle: { width: 3.2, color: INK },
    itemStyle: { color: INK },
    z: 10,
  };
}

/** Two stacked series make the band; the lower one is not drawn. */
function interval(records: readonly SuccessRecord[]): ChartSeries[] {
  const invisible = { type: 'line', symbol: 'none', stack: 'interval', lineStyle: { width: 0 }, silent: true } as const;
  return [
    { ...invisible, name: 'below the interval', data: records.map(({ round, low }) => [round, 100 * low]) },
    { ...invisible, name: 'interval', data: records.map(({ round, low, high }) => [round, 100 * (high - low)]), areaStyle: { color: INK, opacity: 0.12 } },
  ];
}

function byPlace(records: readonly SuccessRecord[]): ChartSeries[] {
  const names = [...new Set(records.flatMap(({ places }) => places.map(placeName)))];
  if (names.length < 2 || names.length > MAX_PLACE_LINES) return [];
  return names.map((name, index) => ({
    type: 'line',
    name: label(name),
    data: records.flatMap(({ round, places }) => {
      const found = places.find((place) => placeName(place) === name);
      return found === undefined ? [] : [[round, 100 * found.rate]];
    }),
    symbol: 'circle',
    symbolSize: 4,
    lineStyle: { width: 1.8, color: PALETTE[index]! },
    itemStyle: { color: PALETTE[index]! },
  }));
}

/** `cube-to-bowl left`. */
export function placeName({ world, place }: SuccessRecord['places'][number]): string {
  return place === null ? world : `${world} ${place}`;
}

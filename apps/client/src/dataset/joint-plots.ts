import { AXIS_LINE, INK, label, MUTED, PALETTE, renderPng, SPLIT_LINE, tick, type ChartOption, type ChartSeries, type ChartSize } from '@zk0/charts';
import type { LeRobotDataset } from '@zk0/dataset-so100';
import type { SheetTitle } from './contact-sheet.ts';
import { evenly } from './samples.ts';

/** Values of one joint in one episode. */
export interface JointTrack {
  readonly episodeIndex: number;
  /** Seconds and value, thinned out. */
  readonly points: readonly (readonly [number, number])[];
}

/** One panel: a joint's state, its action, or both. */
export interface JointPanel {
  readonly name: string;
  readonly state: readonly JointTrack[];
  readonly action: readonly JointTrack[];
}

/** More points than this in a panel cannot be told apart. */
const MAX_POINTS = 400;
const COLUMNS = 3;
const PANEL = { width: 430, height: 190 };
const TOP = 92;
const [STATE_COLOUR, ACTION_COLOUR] = [PALETTE[0], '#B4441A'];

/** Gathers state and action of every joint over some episodes; joints of one name share a panel. */
export function jointPanels(dataset: LeRobotDataset, episodes: number): readonly JointPanel[] {
  const { info } = dataset;
  const spans = evenly(info.episodes.length, episodes).map((index) => info.episodes[index]!);
  const tracks = (valueAt: (frame: number) => number): JointTrack[] =>
    spans.map(({ episodeIndex, from, to }) => ({
      episodeIndex,
      points: evenly(to - from, MAX_POINTS).map((position) => [position / info.fps, valueAt(from + position)] as const),
    }));
  const names = [...new Set([...info.stateNames, ...info.actionNames])];
  return names.map((name) => {
    const [state, action] = [info.stateNames.indexOf(name), info.actionNames.indexOf(name)];
    return {
      name,
      state: state === -1 ? [] : tracks((frame) => dataset.state(frame)[state]!),
      action: action === -1 ? [] : tracks((frame) => dataset.actionChunk(frame, 1).actions[action]!),
    };
  });
}

/** Draws the panels as PNG bytes. */
export function renderJointPlots(title: SheetTitle, panels: readonly JointPanel[]): Promise<Uint8Array> {
  return renderPng(jointPlots(title, panels), sizeOf(panels.length));
}

function sizeOf(panels: number): ChartSize {
  return { width: COLUMNS * PANEL.width, height: TOP + Math.ceil(panels / COLUMNS) * PANEL.height + 10 };
}

/** The chart as data; separate from the rendering for tests. */
export function jointPlots(title: SheetTitle, panels: readonly JointPanel[]): ChartOption {
  const corner = (index: number): { x: number; y: number } => ({
    x: (index % COLUMNS) * PANEL.width,
    y: TOP + Math.floor(index / COLUMNS) * PANEL.height,
  });
  return {
    title: [
      {
        text: label(title.name, 90),
        subtext: label(title.detail, 150),
        left: 19,
        top: 10,
        itemGap: 6,
        textStyle: { fontSize: 18, fontWeight: 600, color: INK },
        subtextStyle: { fontSize: 12, color: MUTED },
      },
      ...panels.map(({ name }, index) => ({
        text: label(name, 50),
        left: corner(index).x + 19,
        top: corner(index).y - 4,
        textStyle: { fontSize: 13, fontWeight: 600 as const, color: INK },
      })),
    ],
    legend: {
      left: 19,
      top: 56,
      itemWidth: 22,
      itemHeight: 8,
      selectedMode: false,
      textStyle: { fontSize: 12, color: INK },
      data: ['state', 'action'].map((name) => ({ name, icon: 'roundRect' })),
    },
    grid: panels.map((_, index) => ({
      left: corner(index).x + 62,
      top: corner(index).y + 24,
      width: PANEL.width - 86,
      height: PANEL.height - 74,
    })),
    xAxis: panels.map((_, index) => ({
      type: 'value' as const,
      gridIndex: index,
      name: 's',
      nameLocation: 'end' as const,
      nameGap: 8,
      nameTextStyle: { fontSize: 11, color: MUTED },
      max: 'dataMax' as const,
      axisLine: { ...AXIS_LINE, onZero: false },
      axisTick: { show: false },
      axisLabel: { color: INK, fontSize: 11, formatter: tick, showMaxLabel: false },
      splitLine: { show: false },
    })),
    yAxis: panels.map((_, index) => ({
      type: 'value' as const,
      gridIndex: index,
      scale: true,
      splitNumber: 3,
      axisLabel: { color: INK, fontSize: 11, formatter: tick },
      splitLine: SPLIT_LINE,
    })),
    series: panels.flatMap(({ state, action }, index) => [
      // An action is close to the next state: a thin line on a broad one leaves both to be seen.
      ...state.map((track) => series('state', track, index, { width: 3.2, color: STATE_COLOUR, opacity: 0.45 })),
      ...action.map((track) => series('action', track, index, { width: 0.9, color: ACTION_COLOUR, opacity: 1 })),
    ]),
  };
}

function series(name: string, { points }: JointTrack, index: number, line: { width: number; color: string; opacity: number }): ChartSeries {
  return {
    type: 'line',
    name,
    xAxisIndex: index,
    yAxisIndex: index,
    data: points as [number, number][],
    showSymbol: points.length === 1,
    lineStyle: line,
    itemStyle: { color: line.color },
  };
}

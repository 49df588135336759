import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { theme } from '../state.ts';
import { formatDuration, formatNumber } from '../format.ts';

/** One curve. */
export interface Curve {
  readonly name: string;
  readonly values: readonly (number | null)[];
  /** A custom property of the style sheet. */
  readonly colour: string;
  readonly width: number;
  readonly dash?: readonly number[];
  /** In units of their own, on the right. */
  readonly onRight?: boolean;
}

interface PlotProps {
  /** What a reader who does not see it is told. */
  readonly label: string;
  readonly xs: readonly number[];
  readonly curves: readonly Curve[];
  readonly x: 'round' | 'time';
  readonly isLog?: boolean;
  readonly height?: number;
  /** Told which point is pointed at; `null` when none is. */
  readonly onPoint?: (index: number | null) => void;
}

// Members of enumerations that uPlot declares and does not have when it runs.
const LOGARITHMIC = { distr: 3 } as unknown as uPlot.Scale;
const ON_RIGHT = { side: 1 } as unknown as uPlot.Axis;
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];

/** A chart of curves over rounds or seconds. */
export function Plot({ label, xs, curves, x, isLog = false, height = 240, onPoint }: PlotProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const point = useRef(onPoint);
  point.current = onPoint;
  const { value: chosenTheme } = theme;
  // What makes another chart of it; new data alone does not.
  const shape = JSON.stringify([x, isLog, height, chosenTheme, xs.length < 3, curves.map(({ name, colour, width, dash, onRight }) => [name, colour, width, dash, onRight])]);
  const data = useMemo(
    () => [xs, ...curves.map(({ values }) => (isLog ? values.map((value) => (value !== null && value > 0 ? value : null)) : values))] as uPlot.AlignedData,
    [xs, curves, isLog],
  );

  useEffect(() => {
    const root = place.current!;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const axis = { size: 34, stroke: colour('--muted'), grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' };
    const values = (_plot: uPlot, splits: number[]): string[] => splits.map((value: number | null) => (value === null ? '' : formatNumber(value)));
    const chart = new uPlot(
      {
        width: root.clientWidth,
        height,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 }, y: false },
        scales: { x: { time: false, range: (_plot, min, max) => (min === max ? [min - 0.5, max + 0.5] : [min, max]) }, y: isLog ? LOGARITHMIC : {}, right: {} },
        axes: [
          { ...axis, ...(x === 'round' ? { incrs: WHOLE } : {}), values: (_plot, splits) => splits.map((value) => (x === 'round' ? String(value) : formatDuration(value * 1000))), space: x === 'round' ? 40 : 80 },
          { ...axis, values, size: 56 },
          ...(curves.some(({ onRight }) => onRight === true) ? [{ ...axis, ...ON_RIGHT, scale: 'right', values, size: 56, grid: { show: false } } satisfies uPlot.Axis] : []),
        ],
        series: [
          {},
          ...curves.map((curve): uPlot.Series => ({
            label: curve.name,
            stroke: colour(curve.colour),
            width: curve.width,
            spanGaps: true,
            scale: curve.onRight === true ? 'right' : 'y',
            ...(curve.dash !== undefined && { dash: [...curve.dash] }),
            points: { show: xs.length < 3, size: 6 },
          })),
        ],
        hooks: { setCursor: [({ cursor }) => { point.current?.(cursor.idx ?? null); }] },
      },
      data,
      root,
    );
    plot.current = chart;
    const observer = new ResizeObserver(() => {
      if (root.clientWidth > 0 && root.clientWidth !== chart.width) chart.setSize({ width: root.clientWidth, height });
    });
    observer.observe(root);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const repaint = (): void => {
      for (const [index, { colour: name }] of curves.entries()) chart.series[index + 1]!.stroke = () => getComputedStyle(document.documentElement).getPropertyValue(name);
      chart.redraw(false);
    };
    dark.addEventListener('change', repaint);
    return () => {
      dark.removeEventListener('change', repaint);
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
    // `data` and `curves` are in `shape` as far as they matter here.
  }, [shape]);

  useEffect(() => {
    if (plot.current !== null && plot.current.data !== data) plot.current.setData(data);
  }, [data]);

  return <div class="plot" role="img" aria-label={label} ref={place} />;
}

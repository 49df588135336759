import type { JSX } from 'preact';

const WIDTH = 56;
const HEIGHT = 18;
const MAX_POINTS = 28;

/** The course of a value in a line's height. @param values - x and y in turn */
export function Sparkline({ values }: { readonly values: readonly number[] }): JSX.Element {
  const count = Math.min(MAX_POINTS, values.length / 2);
  const ys = Array.from({ length: count }, (_, index) => values[values.length - 2 * (count - index) + 1]!);
  const low = Math.min(...ys);
  const range = Math.max(...ys) - low;
  const points = ys.map((y, index) => {
    const x = count < 2 ? WIDTH / 2 : 1 + (index * (WIDTH - 2)) / (count - 1);
    return `${x.toFixed(1)},${(range === 0 ? HEIGHT / 2 : 1 + (1 - (y - low) / range) * (HEIGHT - 2)).toFixed(1)}`;
  });
  return (
    <svg class="sparkline" width={WIDTH} height={HEIGHT} aria-hidden="true">
      {count > 1 && <polyline points={points.join(' ')} />}
    </svg>
  );
}

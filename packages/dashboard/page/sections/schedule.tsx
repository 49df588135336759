import { computed, signal } from '@preact/signals';
import type { JSX } from 'preact';
import { aligned } from '../../src/model/derive.ts';
import type { RoundView } from '../../src/model/view.ts';
import { formatNumber, visible } from '../format.ts';
import { Card, Empty } from '../parts/card.tsx';
import { Legend, ValuesTable } from '../parts/legend.tsx';
import { Plot, type Curve } from '../parts/plot.tsx';
import { run } from '../state.ts';

type Value = (round: RoundView) => number | undefined;

const pointedNorm = signal<number | null>(null);
const pointedRate = signal<number | null>(null);
const norms = computed(() => curvesOf([['update norm', '--series-1', ({ updateNorm }) => updateNorm], ['ε spent', '--series-3', ({ epsilon }) => epsilon]]));
const rates = computed(() => curvesOf([['learning rate', '--series-2', ({ learningRate }) => learningRate], ['μ', '--series-4', ({ proximalMu }) => proximalMu]]));

function curvesOf(wanted: readonly (readonly [name: string, colour: string, value: Value])[]): { readonly xs: readonly number[]; readonly curves: readonly Curve[] } {
  const rounds = (run.value?.rounds ?? []).filter(({ round }) => round > 0);
  const given = wanted.filter(([, , value]) => rounds.some((round) => value(round) !== undefined));
  const { xs, ys } = aligned(given.map(([, , value]) => rounds.flatMap((round) => {
    const y = value(round);
    return y === undefined ? [] : [[round.round, y] as const];
  })));
  return { xs, curves: ys.map((values, index) => ({ name: given[index]![0], colour: given[index]![1], values, width: 2, onRight: index === 1 })) };
}

/** How far the parameters move, and what the schedule does about it. */
export function Schedule(): JSX.Element {
  const changes = (run.value?.rounds ?? []).filter(({ reasons }) => reasons.length > 0).slice(-20).reverse();
  return (
    <>
      <Card id="norms" title={norms.value.curves.length > 1 ? 'Update norm and privacy spent' : 'Update norm'} wide="half">
        <Small chart={norms.value} pointed={pointedNorm} empty="It appears after the first aggregation." />
      </Card>
      <Card id="rates" title="Learning rate and μ" wide="half">
        <Small chart={rates.value} pointed={pointedRate} empty="They appear with the first round." />
        {changes.length > 0 && (
          <>
            <h3>Why they changed</h3>
            <ul class="reasons" tabIndex={0} aria-label="Why learning rate and μ changed">
              {changes.map(({ round, reasons }) => <li key={round}><b>Round {round}</b> <bdi>{reasons.slice(0, 3).map(visible).join('; ')}{reasons.length > 3 ? ` and ${reasons.length - 3} more` : ''}</bdi></li>)}
            </ul>
          </>
        )}
      </Card>
    </>
  );
}

interface SmallProps {
  readonly chart: { readonly xs: readonly number[]; readonly curves: readonly Curve[] };
  readonly pointed: { value: number | null };
  readonly empty: string;
}

function Small({ chart: { xs, curves }, pointed, empty }: SmallProps): JSX.Element {
  if (xs.length === 0) return <Empty>{empty}</Empty>;
  const index = pointed.value !== null && pointed.value < xs.length ? pointed.value : xs.length - 1;
  const names = curves.map(({ name }) => name).join(' and ');
  return (
    <>
      <Plot label={`${names} by round. The values are in the table below.`} xs={xs} curves={curves} x="round" height={160} onPoint={(point) => (pointed.value = point)} />
      <Legend items={curves.map(({ name, colour, values, onRight }) => ({ name: onRight === true ? `${name} (right)` : name, colour, value: formatNumber(values[index]) }))} where={`round ${xs[index]!}`} />
      <ValuesTable of={names} count={xs.length} columns={[{ header: 'Round', cell: (row) => String(xs[row]) }, ...curves.map(({ name, values }) => ({ header: name, cell: (row: number) => formatNumber(values[row]) }))]} />
    </>
  );
}

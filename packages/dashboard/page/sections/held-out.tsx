import { computed, signal } from '@preact/signals';
import type { JSX } from 'preact';
import { aligned } from '../../src/model/derive.ts';
import type { RunView } from '../../src/model/view.ts';
import { formatNumber, visible } from '../format.ts';
import { Card, Empty } from '../parts/card.tsx';
import { Legend, ValuesTable } from '../parts/legend.tsx';
import { Plot, type Curve } from '../parts/plot.tsx';
import { run } from '../state.ts';

/** As many colours as can be told apart; further datasets are in the table. */
const COLOURS = 6;
const pointed = signal<number | null>(null);

const chart = computed(() => (run.value === null ? null : datasetCurves(run.value)));

function datasetCurves({ rounds }: RunView): { readonly xs: readonly number[]; readonly curves: readonly Curve[] } {
  const names = [...new Set(rounds.flatMap(({ evaluation }) => evaluation?.datasets.map(({ name }) => name) ?? []))];
  const lines = names.map((name) => rounds.flatMap(({ round, evaluation }) => {
    const loss = evaluation?.datasets.find((dataset) => dataset.name === name)?.loss;
    return loss === undefined ? [] : [[round, loss] as const];
  }));
  const { xs, ys } = aligned(lines);
  return { xs, curves: ys.map((values, index) => ({ name: names[index]!, values, colour: `--series-${(index % COLOURS) + 1}`, width: 2 })) };
}

/** Held-out loss, dataset by dataset. */
export function HeldOut(): JSX.Element {
  const { value } = chart;
  if (value === null || value.curves.length === 0) {
    const heldOut = run.value?.config['heldOut'];
    const none = Array.isArray(heldOut) && heldOut.length === 0;
    return (
      <Card id="held-out" title="Held-out loss by dataset" wide="third">
        <Empty>{none ? 'This run holds nothing out: nobody can say how good its policy is. Name recordings with --held-out.' : 'It appears after the first evaluation.'}</Empty>
      </Card>
    );
  }
  const { xs, curves } = value;
  const index = pointed.value !== null && pointed.value < xs.length ? pointed.value : xs.length - 1;
  return (
    <Card id="held-out" title="Held-out loss by dataset" wide="third">
      <Plot label={`Held-out loss of ${curves.length} datasets by round. The values are in the table below.`} xs={xs} curves={curves} x="round" height={280} onPoint={(point) => (pointed.value = point)} />
      <Legend items={curves.slice(0, COLOURS).map(({ name, colour, values }) => ({ name: visible(name), colour, value: formatNumber(values[index]) }))} where={`round ${xs[index]!}`} />
      <ValuesTable
        of="held-out loss"
        count={xs.length}
        columns={[
          { header: 'Round', cell: (row) => String(xs[row]) },
          ...curves.map(({ name, values }) => ({ header: visible(name), cell: (row: number) => formatNumber(values[row]) })),
        ]}
      />
    </Card>
  );
}

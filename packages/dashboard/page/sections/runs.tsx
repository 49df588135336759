import { computed } from '@preact/signals';
import type { JSX } from 'preact';
import { aligned, bestLoss } from '../../src/model/derive.ts';
import type { RunBrief, RunView } from '../../src/model/view.ts';
import { formatDuration, formatNumber, visible } from '../format.ts';
import { Card, Empty } from '../parts/card.tsx';
import { Legend } from '../parts/legend.tsx';
import { Plot } from '../parts/plot.tsx';
import { chooseRun, comparedRuns, loadRun, run, runById, runs } from '../state.ts';

const MOST_COMPARED = 6;
/** Newest runs that are listed; the choice at the top of the page has them all. */
const LISTED = 50;

const listed = computed<readonly RunBrief[]>(() => [...runs.value.values()].reverse().slice(0, LISTED));
const compared = computed<readonly RunView[]>(() => comparedRuns.value.flatMap((runId) => runById(runId) ?? []));

/** Every run, and some of them side by side. */
export function Runs(): JSX.Element {
  if (listed.value.length === 0) return <Card id="runs" title="Runs"><Empty>There are none yet.</Empty></Card>;
  return (
    <Card id="runs" title="Runs">
      <div class="scroll tall" tabIndex={0} role="region" aria-label="Table of runs">
        <table>
          <thead>
            <tr><th scope="col">Compare</th><th scope="col">Run</th><th scope="col">State</th><th scope="col">Round</th><th scope="col">Held-out loss</th><th scope="col">Ended because</th></tr>
          </thead>
          <tbody>{listed.value.map((brief) => <RunRow key={brief.runId} brief={brief} />)}</tbody>
        </table>
      </div>
      {comparedRuns.value.length > 0 && <Comparison />}
    </Card>
  );
}

function RunRow({ brief: { runId, phase, round, rounds, policyLoss, ending, paused } }: { readonly brief: RunBrief }): JSX.Element {
  const isCompared = comparedRuns.value.includes(runId);
  const toggle = (): void => {
    comparedRuns.value = isCompared ? comparedRuns.value.filter((one) => one !== runId) : [...comparedRuns.value, runId];
    if (!isCompared) void loadRun(runId);
  };
  const isFull = !isCompared && comparedRuns.value.length >= MOST_COMPARED;
  return (
    <tr class={run.value?.runId === runId ? 'current' : ''}>
      <td><input type="checkbox" checked={isCompared} disabled={isFull || phase === 'unreadable'} aria-label={`Compare ${visible(runId)}`} onChange={toggle} /></td>
      <th scope="row"><button type="button" class="link-button" onClick={() => { chooseRun(runId); scrollTo({ top: 0 }); }} disabled={phase === 'unreadable'}><bdi>{visible(runId)}</bdi></button></th>
      <td><span class={`badge ${paused !== null ? 'paused' : phase}`}>{paused !== null ? 'paused' : phase === 'waiting_for_clients' ? 'waiting' : phase}</span></td>
      <td class="number">{round} / {rounds}</td>
      <td class="number">{formatNumber(policyLoss)}</td>
      <td class="ending"><bdi>{visible(ending ?? '')}</bdi></td>
    </tr>
  );
}

function Comparison(): JSX.Element {
  const { value: all } = compared;
  const curves = all.map(({ rounds }) => rounds.flatMap(({ round, evaluation }) => (evaluation == null ? [] : [[round, evaluation.loss] as const])));
  const { xs, ys } = aligned(curves);
  const colour = (index: number): string => `--series-${index + 1}`;
  const facts: readonly (readonly [string, (one: RunView) => string])[] = [
    ['Lowest held-out loss', (one) => {
      const best = bestLoss(one);
      return best === null ? '–' : `${formatNumber(best.loss)} (round ${best.round})`;
    }],
    ['Rounds done', (one) => String(one.rounds.findLast(({ phase }) => phase === 'done')?.round ?? 0)],
    ['Took', (one) => (one.endedAt === undefined ? 'goes on' : formatDuration(one.endedAt - (one.startedAt ?? one.createdAt)))],
    ['Clients', (one) => String(one.tallies.size)],
    ...differences(all).map((name) => [name, (one: RunView) => visible(shortValue(flat(one.config).get(name)))] as const),
  ];
  return (
    <div class="comparison">
      <h3>Comparison</h3>
      {xs.length > 0 && <Plot label={`Held-out loss of ${all.length} runs by round. The table has the lowest of each.`} xs={xs} x="round" height={220} curves={ys.map((values, index) => ({ name: all[index]!.runId, values, colour: colour(index), width: 2 }))} />}
      <Legend items={all.map(({ runId }, index) => ({ name: visible(runId), colour: colour(index) }))} />
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of the comparison">
        <table>
          <thead><tr><th scope="col">Run</th>{all.map(({ runId }) => <th scope="col" key={runId}>{visible(runId)}</th>)}</tr></thead>
          <tbody>{facts.map(([name, fact]) => <tr key={name}><th scope="row">{name}</th>{all.map((one) => <td key={one.runId}>{fact(one)}</td>)}</tr>)}</tbody>
        </table>
      </div>
    </div>
  );
}

/** Settings in which runs differ. */
function differences(runs: readonly RunView[]): string[] {
  const all = runs.map(({ config }) => flat(config));
  const names = [...new Set(all.flatMap((settings) => [...settings.keys()]))];
  return names.filter((name) => new Set(all.map((settings) => JSON.stringify(settings.get(name)))).size > 1);
}

/** Settings by their dotted names. */
function flat(config: object, prefix = ''): ReadonlyMap<string, unknown> {
  return new Map(
    Object.entries(config).flatMap(([name, value]): [string, unknown][] =>
      typeof value === 'object' && value !== null && !Array.isArray(value) ? [...flat(value as object, `${prefix}${name}.`)] : [[`${prefix}${name}`, value]],
    ),
  );
}

function shortValue(value: unknown): string {
  if (value === undefined) return '–';
  return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 80);
}

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatRate } from '@zk0/rollout';
import { writeFileAtomic } from '@zk0/storage';
import { placeName } from './charts/success-chart.ts';
import { code, markdownTable } from './markdown.ts';
import type { SuccessRecord } from './types.ts';

/** Where a card says how often the policy does its tasks: known only some time after the checkpoint was written. */
const BEGIN = '<!-- success -->';
const END = '<!-- end of success -->';

/** The section before anybody tried. */
export const NOT_TRIED = section('It was not tried in a simulated world.');

/** Puts what was found into the card of a checkpoint, in place of what it said before, and beside it as `success.json`. */
export async function addSuccess(checkpoint: string, record: SuccessRecord): Promise<void> {
  // An operator may have moved it away meanwhile.
  if (!existsSync(checkpoint)) return;
  const path = join(checkpoint, 'README.md');
  const card = await readFile(path, 'utf8');
  const [begin, end] = [card.indexOf(BEGIN), card.indexOf(END)];
  await writeFileAtomic(join(checkpoint, 'success.json'), `${JSON.stringify(record, null, 2)}\n`);
  if (begin < 0 || end < begin) return;
  await writeFileAtomic(path, card.slice(0, begin) + section(described(record)) + card.slice(end + END.length));
}

function described(record: SuccessRecord): string {
  const hasScore = record.places.some(({ meanScore }) => meanScore !== undefined);
  const rows = [...(record.places.length > 1 ? record.places.map((place) => [placeName(place), place] as const) : []), ['all trials', record] as const];
  return [
    `Tried in a simulated world (MuJoCo) at ${record.tasks.map(code).join(', ')}, seed ${code(record.seed)}: it did the task in ${formatRate(record)} of`,
    `${record.trials} trials, with the 95 % interval in brackets. That says little about another arm, scene or camera.`,
    ...(record.notes ?? []),
    '',
    markdownTable(
      ['tried', 'successes', 'rate (95 %)', ...(hasScore ? ['score'] : []), 'failures'],
      rows.map(([name, { successes, trials, rate, low, high, failures }]) => [
        name,
        `${successes} of ${trials}`,
        formatRate({ rate, low, high }),
        ...(hasScore ? [scoreOf(record.places.filter((place) => name === 'all trials' || placeName(place) === name))] : []),
        Object.entries(failures).map(([kind, count]) => `${kind} ${count}`).join(', ') || '–',
      ]),
    ),
  ].join('\n');
}

/** Mean over the trials of the largest share of the task that was done at once. */
function scoreOf(places: SuccessRecord['places']): string {
  const scored = places.flatMap(({ meanScore, trials }) => (meanScore === undefined ? [] : [{ meanScore, trials }]));
  const trials = scored.reduce((sum, place) => sum + place.trials, 0);
  return trials === 0 ? '–' : (scored.reduce((sum, place) => sum + place.meanScore * place.trials, 0) / trials).toFixed(2);
}

function section(text: string): string {
  return `${BEGIN}\n${text}\n${END}`;
}

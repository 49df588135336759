import { formatDuration, table } from '@zk0/cli';
import type { DatasetInspection, JointSummary } from '@zk0/dataset-so100';
import { counted, paragraph } from './page.ts';

/** Tasks that are shown; `--json` has all. */
const SHOWN_TASKS = 10;
/** Numbers in a row need this much room; in narrower terminals there are fewer of them. */
const WIDE = 76;

/** What is in a dataset, for people. */
export function inspectionText(found: DatasetInspection, width: number): string {
  const { min, median, max } = found.episodeLength;
  const lines = [
    ...paragraph(found.name, width, 0),
    ...paragraph(found.root, width, 0),
    '',
    ...facts(
      [
        ['format', `LeRobot ${found.version}, robot ${found.robotType}, ${found.fps} frames a second`],
        ['recorded', `${counted(found.episodes, 'episode')}, ${counted(found.frames, 'frame')}, ${formatDuration(found.duration)}`],
        ['episodes', min === max ? counted(min, 'frame') + ' each' : `${min} to ${max} frames, half of them over ${median}`],
        ['clock', clockText(found)],
        ...(found.decoding === null ? [] : [['video', decodingText(found.decoding)] as const]),
      ],
      width,
    ),
    '',
    'CAMERAS',
    ...(found.cameras.length === 0 ? ['  none'] : found.cameras.flatMap((camera) => paragraph(cameraText(camera), width, 2))),
    '',
    'TASKS',
    ...found.tasks.slice(0, SHOWN_TASKS).flatMap(({ text, episodes }) => paragraph(`${text} (${counted(episodes, 'episode')})`, width, 2, '· ')),
    ...(found.tasks.length > SHOWN_TASKS ? [`  and ${found.tasks.length - SHOWN_TASKS} more`] : []),
    ...jointTable('STATE', found.state, width),
    ...jointTable('ACTION', found.action, width),
    '',
    'UNITS',
    ...paragraph(`state: ${unitsText(found.state)}: ${found.unitsWhy.state}`, width, 2, '· '),
    ...paragraph(`action: ${unitsText(found.action)}: ${found.unitsWhy.action}`, width, 2, '· '),
    ...found.leaderOffsets.flatMap(({ joint, degrees }) => {
      return paragraph(`${joint}: the action stands ${degrees.toFixed(1)}° from the state that follows; leader and follower are calibrated apart`, width, 2, '· ');
    }),
  ];
  if (found.problems.length > 0) {
    lines.push('', 'UNUSUAL', ...found.problems.flatMap((problem) => paragraph(problem, width, 2, '· ')));
  }
  return lines.join('\n');
}

/** The units of the joints, and how sure the least sure of them is. */
function unitsText(joints: readonly JointSummary[]): string {
  const units = [...new Set(joints.map(({ convention }) => convention.unit))];
  const sure = Math.min(...joints.map(({ convention }) => convention.confidence));
  const state = sure < 0.9 ? '; state them with --units' : '';
  return `${units.join(' and ')}, ${Math.round(sure * 100)} % sure${state}`;
}

function facts(pairs: readonly (readonly [string, string])[], width: number): string[] {
  return pairs.flatMap(([name, value]) => paragraph(value, width, 0, name.padEnd(10)));
}

function clockText({ drift, fps }: DatasetInspection): string {
  if (drift.fromGrid <= 1e-3) return 'regular';
  const frames = (drift.fromGrid * fps).toFixed(1);
  return `strays from ${fps} fps by up to ${drift.fromGrid.toFixed(3)} s (${frames} frames) in an episode, ${(drift.step * 1000).toFixed(0)} ms a step`;
}

function decodingText({ backend, where, why }: NonNullable<DatasetInspection['decoding']>): string {
  return `read by ${backend} (${where}), ${why}`;
}

function cameraText({ key, width, height, codec }: DatasetInspection['cameras'][number]): string {
  return `${key}  ${width}×${height}  ${codec === 'picture' ? 'pictures in rows' : (codec ?? 'no video can be read')}`;
}

function jointTable(title: string, joints: readonly JointSummary[], width: number): string[] {
  const all: readonly (readonly [string, (joint: JointSummary) => number])[] = [
    ['min', ({ min }) => min],
    ['1 %', ({ q01 }) => q01],
    ['median', ({ q50 }) => q50],
    ['99 %', ({ q99 }) => q99],
    ['max', ({ max }) => max],
    ['mean', ({ mean }) => mean],
    ['std', ({ std }) => std],
  ];
  const columns = width < WIDE ? all.filter(([header]) => !/%|median/.test(header)) : all;
  const rows = joints.map((joint) => [joint.name, ...columns.map(([, valueOf]) => short(valueOf(joint)))]);
  const header = [{ header: title }, ...columns.map(([header]) => ({ header, align: 'right' as const }))];
  return ['', ...table(header, rows, width).split('\n')];
}

/** Five significant digits, the decimal point kept off whole numbers. */
function short(value: number): string {
  return String(Number(value.toPrecision(5)));
}

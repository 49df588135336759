import type { Outcome } from './run-task.ts';

/** Everything that a verification found, as it is written to a file. */
export interface Report {
  readonly device: string;
  readonly preset: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly begun: string;
  readonly seconds: number;
  readonly outcomes: readonly Outcome[];
}

/** Comparisons that are beyond what is allowed, or not numbers. */
export function failuresOf({ outcomes }: Report): string[] {
  return outcomes.flatMap((outcome) => {
    if (outcome.state === 'failed') return [`${outcome.name}: ${outcome.reason}`];
    if (outcome.state === 'skipped') return [];
    return (outcome.found.comparisons ?? []).filter(({ difference, allowed }) => !(difference <= allowed)).map(({ what, difference, allowed }) => `${outcome.name}: ${what} differs by ${difference.toExponential(1)}, ${allowed.toExponential(0)} is allowed`);
  });
}

/** The tables for docs/accelerators.md. */
export function markdown(report: Report): string {
  const { machine, versions, device, preset, outcomes, seconds } = report;
  const known = [...Object.values(machine), ...Object.entries(versions).map(([name, version]) => `${name} ${version}`)].join(', ');
  const done = outcomes.filter((outcome) => outcome.state === 'done');
  const comparisons = done.flatMap(({ name, found }) => (found.comparisons ?? []).map(({ what, difference, allowed }) => [name, what, difference.toExponential(1), allowed.toExponential(0), difference <= allowed ? 'equal' : '**differs**']));
  // LeRobot's steps are of the full size, whatever ours are of.
  const comparable = preset === 'full' ? outcomes : [];
  const figures = done.map((outcome) => [outcome.name, ...columns(outcome, comparable)]);
  const missing = outcomes.flatMap((outcome) => (outcome.state === 'done' ? [] : [`- ${outcome.name}: ${outcome.state}, ${outcome.reason}`]));
  return [
    `${device}, preset \`${preset}\`, ${report.begun}, ${seconds.toFixed(0)} s. ${known}.`,
    table(['part', 'what', 'difference', 'allowed', ''], comparisons),
    table(['part', 'seconds', 'per second', 'of LeRobot', 'card memory', 'host memory'], figures),
    ...(missing.length === 0 ? [] : [`Not measured:\n\n${missing.join('\n')}`]),
  ].join('\n\n') + '\n';
}

function columns({ name, found, devicePeakBytes }: Extract<Outcome, { state: 'done' }>, all: readonly Outcome[]): string[] {
  const { figures, hostPeakBytes } = found;
  const seconds = figures['seconds a step'] ?? figures['seconds a chunk'];
  const rate = figures['samples a second'] ?? figures['frames a second'];
  const theirs = name.startsWith('LeRobot') ? undefined : leRobotSeconds(name, all);
  return [
    seconds === undefined ? '' : seconds.toPrecision(3),
    rate === undefined ? '' : rate.toPrecision(3),
    theirs === undefined || seconds === undefined ? '' : `${(theirs / seconds).toFixed(2)}×`,
    devicePeakBytes === undefined ? '' : `${(devicePeakBytes / 1e9).toFixed(2)} GB`,
    `${(hostPeakBytes / 1e9).toFixed(2)} GB`,
  ];
}

/** LeRobot's seconds for the same batch: in float32 for float32, and under autocast for 16 bits. */
function leRobotSeconds(name: string, all: readonly Outcome[]): number | undefined {
  const [, batch] = /^step of (\d+)/.exec(name) ?? [];
  const wanted = batch === undefined ? (name.startsWith('action chunk') ? 'LeRobot: action chunk, float32' : undefined) : `LeRobot: step of ${batch}, ${name.endsWith('float32') ? 'float32' : 'bfloat16'}`;
  const found = all.find((outcome) => outcome.name === wanted);
  return found?.state === 'done' ? (found.found.figures['seconds a step'] ?? found.found.figures['seconds a chunk']) : undefined;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

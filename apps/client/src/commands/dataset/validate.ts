import { resolve } from 'node:path';
import { UsageError } from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import {
  DROP_REASONS,
  findOverlap,
  repairDataset,
  validateDataset,
  type DropReason,
  type Finding,
  type RepairResult,
  type ValidationReport,
} from '@zk0/dataset-so100';
import { Command } from 'commander';
import { pageWidth, paragraph } from '../../dataset/page.ts';
import { repairText, validationText, verdict } from '../../dataset/validation-report.ts';
import { collect, type Run } from '../run-action.ts';
import { runWork, type DatasetWork } from './dataset-work.ts';
import { parseSamples, SAMPLES_OPTION } from './samples.ts';

interface ValidateOptions {
  readonly json?: boolean;
  readonly strict?: boolean;
  readonly samples?: string;
  readonly fix?: string;
  readonly drop: string[];
  readonly task?: string;
}

/** `zk0-client dataset validate`: what is wrong with recordings, and a repaired copy of them. */
export function validateCommand(run: Run): Command {
  const command = new Command('validate')
    .description(
      'Check datasets: structure, counts, timestamps, videos, images, statistics; of several, whether they share episodes. ' +
        'Exit code 1 when something stops one from being used.',
    )
    .argument('<uri...>', 'path, hf:owner/name or demo:<task>; several are compared with each other')
    .option('--fix <dir>', 'write a repaired copy to a new directory, and check it; the original is only read')
    .option('--drop <reason>', `episodes to leave out of the copy: ${DROP_REASONS.join(', ')} (repeatable)`, collect, [])
    .option('--task <text>', 'with --fix: task of episodes that have none')
    .option(...SAMPLES_OPTION)
    .option('--strict', 'exit code 1 for warnings too')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  command.action((uris: string[], options: ValidateOptions) => {
    runWork(run, (work) => validate(uris, options, work));
  });
  return command;
}

async function validate(uris: readonly string[], options: ValidateOptions, work: DatasetWork): Promise<number | undefined> {
  const drop = dropReasons(options);
  const samples = parseSamples(options.samples);
  const [first] = uris as [string];
  if (options.fix !== undefined && uris.length > 1) throw new UsageError('--fix takes one dataset', { hint: 'Repair them one by one.' });
  const { progress, source } = work;
  const check = async (uri: string): Promise<ValidationReport> => checkOne(uri, samples, work);
  const reports: ValidationReport[] = [];
  for (const uri of uris) reports.push(await check(uri));
  const overlap = reports.flatMap((report, i) => reports.slice(i + 1).flatMap((other) => findOverlap(report, other)));
  const json = options.json === true;
  if (!json) {
    progress.finish();
    print([...reports.map((report) => validationText(report, pageWidth())), ...(reports.length > 1 ? [overlapText(overlap)] : [])]);
  }
  if (options.fix === undefined) {
    if (json) printJson(reports.length === 1 ? reports[0] : { datasets: reports, overlap });
    return reports.every((report) => isFine(report, options)) && overlap.length === 0 ? undefined : 1;
  }
  const repair = await repairDataset(first, resolve(options.fix), {
    ...source(first),
    drop,
    ...(options.task === undefined ? {} : { task: options.task }),
    onEpisode: ({ episodes: done, total }) => {
      progress.update({ label: 'repairing', done, total });
    },
  });
  const copy = await check(repair.path);
  progress.finish();
  if (json) printJson({ original: reports[0], repair, copy });
  else print(['', 'REPAIRED COPY', copyText(repair, copy)]);
  return isFine(copy, options) ? undefined : 1;
}

async function checkOne(uri: string, samples: number | undefined, { progress, source }: DatasetWork): Promise<ValidationReport> {
  const report = await validateDataset(uri, {
    ...source(uri),
    ...(samples === undefined ? {} : { samples }),
    onCheck: ({ phase, done, total }) => {
      progress.update({ label: `checking ${phase}`, done, total });
    },
  });
  return report.cameras?.length === 0 ? withoutCameras(report) : report;
}

/** Nothing is damaged, but the policies that this program trains see. */
function withoutCameras(report: ValidationReport): ValidationReport {
  const finding: Finding = { severity: 'error', code: 'DATASET_NO_CAMERAS', message: 'The dataset has no cameras; the policies that zk0-client trains need images.' };
  const error = { ...report.counts.error, DATASET_NO_CAMERAS: 1 };
  return { ...report, ok: false, findings: [finding, ...report.findings], counts: { ...report.counts, error } };
}

function isFine(report: ValidationReport, { strict }: ValidateOptions): boolean {
  return report.ok && (strict !== true || Object.keys(report.counts.warning).length === 0);
}

function overlapText(overlap: readonly Finding[]): string {
  if (overlap.length === 0) return '\nThe datasets share no episode.';
  const shown = overlap.slice(0, 20).flatMap(({ message }) => paragraph(message, pageWidth(), 2, '· '));
  const more = overlap.length > 20 ? [`  and ${overlap.length - 20} more`] : [];
  return ['', `SHARED EPISODES ×${overlap.length}`, ...shown, ...more].join('\n');
}

function copyText(repair: RepairResult, copy: ValidationReport): string {
  return `${repairText(repair, pageWidth())}\n\n${paragraph(`the copy is ${verdict(copy)}`, pageWidth(), 0).join('\n')}`;
}

function dropReasons({ drop, fix }: ValidateOptions): DropReason[] {
  if (drop.length > 0 && fix === undefined) throw new UsageError('--drop belongs to --fix', { hint: 'Add --fix <dir>.' });
  const reasons = drop.flatMap((list) => list.split(','));
  const unknown = reasons.find((reason) => !DROP_REASONS.includes(reason as DropReason));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`--drop ${unknown} is not known`, { hint: `Choose from ${DROP_REASONS.join(', ')}.` });
  }
  return reasons as DropReason[];
}

function print(texts: readonly string[]): void {
  process.stdout.write(`${texts.join('\n')}\n`);
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

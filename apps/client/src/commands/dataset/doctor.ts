import { readRecordingOptions, withUnitsOption } from '@zk0/cli';
import { InvalidArgumentError } from '@zk0/core';
import { UNIT_CONVENTIONS, validateDataset, type ValidationReport } from '@zk0/dataset-so100';
import { Command } from 'commander';
import { pageWidth } from '../../dataset/page.ts';
import { sarifLog } from '../../dataset/sarif.ts';
import { scoreText } from '../../dataset/score-text.ts';
import { withTaskLimit } from '../../dataset/task-limit.ts';
import { validationText } from '../../dataset/validation-report.ts';
import type { Run } from '../run-action.ts';
import { runWork, type DatasetWork } from './dataset-work.ts';
import { parseSamples, SAMPLES_OPTION } from './samples.ts';

interface DoctorOptions extends Readonly<Record<string, unknown>> {
  readonly json?: boolean;
  readonly sarif?: boolean;
  readonly failOn: string;
  readonly samples?: string;
  readonly policy?: string;
}

const FAIL_ON = ['error', 'warning', 'never'] as const;

/** `zk0-client dataset doctor`: what is wrong with how recordings move, with a score for every episode. */
export function doctorCommand(run: Run): Command {
  const command = new Command('doctor')
    .description('Check datasets as `validate` does, and how every episode moves: arms, grippers, encoders, clocks, cameras. Gives each a score.')
    .argument('<uri...>', 'path, hf:owner/name or demo:<task>')
    .option('--fail-on <severity>', `exit code 1 from this on: ${FAIL_ON.join(', ')}`, 'error')
    .option('--policy <name|path>', 'name the task texts that this policy would cut at its token limit')
    .option(...SAMPLES_OPTION)
    .option('--json', 'for scripts')
    .option('--sarif', 'for code hosts: a SARIF 2.1.0 log')
    .option('--verbose', 'error codes and stacks with errors');
  withUnitsOption(command, UNIT_CONVENTIONS).action((uris: string[], options: DoctorOptions) => {
    runWork(run, (work) => examine(uris, options, work));
  });
  return command;
}

async function examine(uris: readonly string[], options: DoctorOptions, { progress, signal, source }: DatasetWork): Promise<number | undefined> {
  const failOn = FAIL_ON.find((one) => one === options.failOn);
  if (failOn === undefined) throw new InvalidArgumentError(`--fail-on ${options.failOn} is not known`, { hint: `Choose from ${FAIL_ON.join(', ')}.` });
  const samples = parseSamples(options.samples);
  const { units } = readRecordingOptions(options, UNIT_CONVENTIONS);
  const reports = await withTaskLimit(options.policy, signal, async (describeTasks) => {
    const all: ValidationReport[] = [];
    for (const uri of uris) {
      all.push(
        await validateDataset(uri, {
          ...source(uri),
          motion: true,
          ...(units === undefined ? {} : { units }),
          ...(describeTasks === undefined ? {} : { describeTasks }),
          ...(samples === undefined ? {} : { samples }),
          onCheck: ({ phase, done, total }) => {
            progress.update({ label: `checking ${phase}`, done, total });
          },
        }),
      );
    }
    return all;
  });
  progress.finish();
  if (options.sarif === true) process.stdout.write(`${JSON.stringify(sarifLog(reports), null, 2)}\n`);
  else if (options.json === true) process.stdout.write(`${JSON.stringify(reports.length === 1 ? reports[0] : { datasets: reports }, null, 2)}\n`);
  else process.stdout.write(`${reports.map((report) => validationText(report, pageWidth()) + scoreText(report, pageWidth())).join('\n\n')}\n`);
  return reports.some((report) => isTooBad(report, failOn)) ? 1 : undefined;
}

function isTooBad({ ok, counts }: ValidationReport, failOn: (typeof FAIL_ON)[number]): boolean {
  if (failOn === 'never') return false;
  return !ok || (failOn === 'warning' && Object.keys(counts.warning).length > 0);
}

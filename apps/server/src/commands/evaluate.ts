import { createProgress, loadConfig, showPhases, table, withRecordingOptions, zk0Home, type Phase, type Progress } from '@zk0/cli';
import { datasetProfile, InvalidArgumentError, type RobotDataset, type RobotDatasetInfo } from '@zk0/core';
import { alignToTarget, openDatasets, readAlignmentTarget, UNIT_CONVENTIONS } from '@zk0/dataset-so100';
import { describeCutTasks, describeDevice, openPolicy, type OpenPolicyOptions, type PolicyFeatures, type SmolVlaPolicy } from '@zk0/policy-smolvla';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { collect, configSchema, runFlags, withConfigOptions, type Config } from '../config.ts';
import { commonNormalizer } from '../model/normalizer.ts';
import type { Run } from './run-action.ts';

/** `zk0-server evaluate`: the policy loss of a checkpoint on datasets. */
export function evaluateCommand(run: Run): Command {
  const command = new Command('evaluate')
    .description('Evaluate a checkpoint: its policy loss on datasets.')
    .requiredOption('--policy <path|name>', 'checkpoint directory, hf:owner/name, or preset')
    .option('--dataset <uri>', 'dataset to evaluate on (repeatable)', collect, [])
    .option('--batches <n>', 'batches per dataset; 0 = the whole dataset (default: 4)', Number)
    .option('--batch-size <n>', 'samples per batch', Number)
    .option('--seed <n>', 'fixes samples, noise and times', Number)
    .option('--device <name>', 'execution provider: auto, cpu, cuda, webgpu, …', 'auto')
    .option('--precision <type>', 'matrix products in: auto, float32, float16, bfloat16', 'auto')
    .option('--json', 'for scripts');
  withConfigOptions(withRecordingOptions(command, UNIT_CONVENTIONS)).action((options: Record<string, unknown>) => {
    run((signal) => evaluate(options, signal));
  });
  return command;
}

async function evaluate(options: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<undefined> {
  const uris = options['dataset'] as string[];
  if (uris.length === 0) throw new InvalidArgumentError('no dataset to evaluate on', { hint: 'Name one with --dataset.' });
  const config = await loadConfig(configSchema, {
    file: options['config'] as string | undefined,
    flags: { ...runFlags({ ...options, heldOut: [] }), evaluateBatches: options['batches'] },
    set: options['set'] as string[],
  });
  const progress = createProgress(process.stderr);
  const { rename, units } = config;
  const datasets = await openDatasets(uris, {
    cacheDirectory: zk0Home(),
    signal,
    onProgress: (uri, phase) => {
      showPhases(progress, uri)(phase);
    },
    ...(rename && { rename }),
    ...(units && { units }),
  });
  const results: Result[] = [];
  try {
    const how = { device: options['device'] as string, precision: options['precision'] as string, signal };
    for (const dataset of datasets) results.push(await evaluateOn(dataset, config, how, progress));
  } finally {
    await Promise.all(datasets.map((dataset) => dataset.close()));
  }
  progress.finish();
  if (options['json'] === true) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
  else {
    const rows = results.map(({ dataset, policyLoss, samples }) => [dataset, policyLoss.toFixed(4), String(samples)]);
    process.stdout.write(
      `${table([{ header: 'dataset' }, { header: 'policy loss', align: 'right' }, { header: 'samples', align: 'right' }], rows)}\n`,
    );
  }
  return undefined;
}

interface Result {
  readonly dataset: string;
  readonly policyLoss: number;
  readonly samples: number;
}

interface DeviceOptions {
  readonly device: string;
  readonly precision: string;
  readonly signal: AbortSignal;
}

async function evaluateOn(recorded: RobotDataset, config: Config, how: DeviceOptions, progress: Progress): Promise<Result> {
  const { info } = recorded;
  const policy = await openFor(config.policy, info, { ...how, onPhase: showPhases(progress, config.policy) });
  progress.print(describeDevice(policy));
  try {
    policy.checkRecordings(info);
    for (const cut of describeCutTasks(policy, info.tasks)) progress.print(`${info.name}: ${cut}`);
    const target = await readAlignmentTarget(policy.directory);
    const { dataset, notes } = target === null ? { dataset: recorded, notes: [] } : alignToTarget(recorded, target, 'the policy');
    for (const note of notes) progress.print(note);
    // A checkpoint brings the normaliser it was trained with; an untrained preset takes the dataset's own.
    const normalizer = policy.normalizer ?? commonNormalizer([datasetProfile(info)]);
    const learner = policy.learner(dataset, {
      normalizer,
      onCorruptFrame: (frame, error) => {
        progress.print(`frame ${frame} of ${info.name} is skipped: ${error.message}`);
      },
    });
    try {
      const { loss, numExamples } = await learner.evaluate(
        await policy.initialParameters(),
        { seed: String(config.seed), batches: config.evaluateBatches, batchSize: config.batchSize ?? policy.trainingDefaults.batchSize },
        {
          signal: how.signal,
          onProgress: ({ phase, step, totalSteps }) => {
            progress.update({ label: `${info.name}: ${phase}`, done: step, total: totalSteps });
          },
        },
      );
      return { dataset: info.name, policyLoss: loss, samples: numExamples };
    } finally {
      await learner.close();
    }
  } finally {
    await policy.close();
  }
}

/** A checkpoint knows its own sizes and cameras; a preset takes the dataset's. */
async function openFor(
  source: string,
  info: RobotDatasetInfo,
  { onPhase, ...how }: DeviceOptions & { readonly onPhase: (phase: Phase) => void },
): Promise<SmolVlaPolicy> {
  const options: OpenPolicyOptions = {
    ...how,
    cacheDirectory: zk0Home(),
    onProgress: ({ phase, step, totalSteps }) => {
      onPhase({ phase, done: step, total: totalSteps });
    },
  };
  const policy = await openPolicy(source, options);
  if (policy.features !== undefined) return policy;
  await policy.close();
  return openPolicy(source, { ...options, features: featuresOf(info) });
}

function featuresOf({ stateNames, actionNames, cameras }: RobotDatasetInfo): PolicyFeatures {
  return { stateSize: stateNames.length, actionSize: actionNames.length, cameras: cameras.map(({ key }) => key) };
}

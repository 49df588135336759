import { join } from 'node:path';
import { createProgress, formatBytes, type Progress, showPhases, zk0Home } from '@zk0/cli';
import { openDataset, requireCameras } from '@zk0/dataset-so100';
import { createLogger } from '@zk0/logger';
import { describeDevice } from '@zk0/policy-smolvla';
import { openBlobStore } from '@zk0/storage';
import { connect } from '@zk0/transport';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { clientIdentity } from '../identity.ts';
import { ControlStore } from '../node/control-store.ts';
import { FitRunner } from '../node/fit-runner.ts';
import { Participant, type ParticipantStatus } from '../node/participant.ts';
import { parseBytes, parseCacheMode, parseFrames, parseRenames, parseThreads } from '../options.ts';
import { collect, type Run } from './run-action.ts';

interface StartOptions {
  readonly server: string;
  readonly dataset: string;
  readonly id?: string;
  readonly device: string;
  readonly precision: string;
  readonly threads?: number;
  readonly cache: string;
  readonly cacheBudget: string;
  readonly rename: string[];
  readonly corruptFrames?: number;
  readonly policy?: string;
  readonly logFile: string[];
  readonly state?: string;
  readonly insecure?: boolean;
  readonly verbose?: boolean;
}

/** `zk0-client start`: joins a federation and trains whenever the server asks. */
export function startCommand(run: Run, version: string): Command {
  const command = new Command('start')
    .description('Join a federation and train on your dataset whenever the server asks. Ctrl-C leaves.')
    .requiredOption('--server <url>', 'the server, as it printed it')
    .requiredOption('--dataset <uri>', 'your recordings: a path, hf:owner/name, or demo:<task>')
    .option('--id <name>', 'this node’s id (default: made once and kept)')
    .option('--device <name>', 'execution provider: auto, cpu, cuda, webgpu, …', 'auto')
    .option('--precision <type>', 'matrix products in: auto, float32, float16, bfloat16', 'auto')
    .option('--threads <n>', 'CPU threads for training (default: all cores)', Number)
    .option('--cache <mode>', 'frozen work kept on disk: auto, prefix, vision or off', 'auto')
    .option('--cache-budget <size>', 'most disk the cache may take', '50GB')
    .option('--rename <from=to>', 'dataset camera = policy camera (repeatable)', collect, [])
    .option('--corrupt-frames <n>', 'undecodable frames to pass over at most (default: 1 % of all)', Number)
    .option('--policy <path|name>', 'a copy of the policy, instead of the source that the server names')
    .option('--log-file <file>', 'append the log there (repeatable; default: in the state directory)', collect, [])
    .option('--state <dir>', 'where downloads and the log are kept')
    .option('--insecure', 'allow plain HTTP to another machine')
    .option('--verbose', 'more output; error codes and stacks with errors');
  command.action((options: StartOptions) => {
    run(async (signal) => {
      await start(options, version, stopWithParent(signal));
      return undefined;
    });
  });
  return command;
}

async function start(options: StartOptions, version: string, signal: AbortSignal): Promise<void> {
  const cache = parseCacheMode(options.cache);
  const cacheBudgetBytes = parseBytes('--cache-budget', options.cacheBudget);
  const rename = parseRenames(options.rename);
  const corruptFrames = parseFrames('--corrupt-frames', options.corruptFrames);
  const threads = parseThreads(options.threads);
  const clientId = await clientIdentity(options.id);
  const state = options.state ?? join(zk0Home(), 'clients', clientId);
  const progress = createProgress(process.stderr, { quiet: !process.stderr.isTTY });
  const log = createLogger({
    process: clientId.startsWith('client') ? clientId : `client_${clientId}`,
    level: options.verbose === true ? 'debug' : 'info',
    console: process.stderr.isTTY || options.verbose === true ? progress.console : false,
    files: options.logFile.length > 0 ? options.logFile : [join(state, 'client.log')],
  });
  try {
    const dataset = await openDataset(options.dataset, { cacheDirectory: zk0Home(), signal, onProgress: showPhases(progress, options.dataset) });
    try {
      requireCameras(dataset.info);
      const { name, episodes, frameCount, cameras } = dataset.info;
      for (const warning of dataset.warnings) log.warn(warning);
      log.info(`dataset ${name}: ${episodes.length} episodes, ${frameCount} frames, ${cameras.length} cameras`);
      const runner = new FitRunner({
        dataset,
        device: options.device,
        precision: options.precision,
        onPolicy: (policy) => {
          log.info(describeDevice(policy));
        },
        cache,
        cacheBudgetBytes,
        cacheDirectory: zk0Home(),
        rename,
        onCorruptFrame: (frame, error) => {
          log.warn(`frame ${frame} of ${name} is passed over: ${error.message}`);
        },
        ...(corruptFrames === undefined ? {} : { corruptFrames }),
        ...(threads === undefined ? {} : { threads }),
        ...(options.policy === undefined ? {} : { policyOverride: options.policy }),
      });
      const token = process.env['ZK0_TOKEN'];
      const client = connect({
        url: options.server,
        clientId,
        ...(token === undefined ? {} : { token }),
        ...(options.insecure === undefined ? {} : { allowInsecure: options.insecure }),
        onConnectionState: (connection) => {
          if (connection.state === 'connected') log.info(`connected to ${options.server}`);
          else log.warn(`no connection (attempt ${connection.attempt}): ${connection.error.message}`);
        },
      });
      try {
        const blobs = await openBlobStore(join(state, 'blobs'));
        const participant = new Participant({
          client,
          runner,
          blobs,
          controls: new ControlStore(join(state, 'control'), clientId, blobs),
          dataset: dataset.info,
          name: clientId,
          device: options.device,
          agent: `zk0-client ${version}`,
          log,
          onStatus: (status) => {
            show(progress, status);
          },
        });
        await participant.run(signal);
      } finally {
        await client.close();
        await runner.close();
      }
    } finally {
      await dataset.close();
    }
  } catch (error) {
    if (!signal.aborted) log.error(error instanceof Error ? error.message : String(error), { error });
    throw error;
  } finally {
    progress.finish();
    await log.close();
  }
}

function show(progress: Progress, status: ParticipantStatus): void {
  switch (status.state) {
    case 'connecting':
      progress.update({ label: 'connecting' });
      return;
    case 'idle':
      progress.update({ label: 'waiting for work' });
      return;
    case 'downloading':
    case 'uploading':
      progress.update({
        label: `round ${status.round} ${status.state}`,
        done: status.bytes,
        total: status.totalBytes,
        detail: formatBytes(status.totalBytes),
      });
      return;
    case 'training':
      progress.update({
        label: `round ${status.round} ${status.phase}`,
        done: status.step,
        total: status.totalSteps,
        ...(status.loss === undefined ? {} : { detail: `loss ${status.loss.toFixed(4)}` }),
      });
  }
}

/** A simulation starts clients with a channel as a lifeline: when it closes, the simulation is gone and so are they. */
function stopWithParent(signal: AbortSignal): AbortSignal {
  if (process.channel === undefined) return signal;
  const orphaned = new AbortController();
  process.once('disconnect', () => {
    orphaned.abort();
  });
  // The channel alone must not keep a finished client alive.
  process.channel.unref();
  return AbortSignal.any([signal, orphaned.signal]);
}

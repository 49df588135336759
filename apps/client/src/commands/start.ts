import { join } from 'node:path';
import {
  announceReady,
  createProgress,
  EXIT_CODE,
  formatBytes,
  isDetached,
  parseBytes,
  readRecordingOptions,
  readTls,
  serviceExitCode,
  stopWithParent,
  withRecordingOptions,
  withTlsOptions,
  writeProcessFile,
  zk0Home,
  type Progress,
} from '@zk0/cli';
import type { Zk0Error } from '@zk0/core';
import { requireCameras, UNIT_CONVENTIONS } from '@zk0/dataset-so100';
import { ControlStore, OptimizerStore, Participant, Reporter, ResidualStore, SecretStore, type ParticipantStatus } from '@zk0/federation';
import { createLogger } from '@zk0/logger';
import { describeCutTasks, describeDevice } from '@zk0/policy-smolvla';
import { openBlobStore } from '@zk0/storage';
import { connect, RemoteError } from '@zk0/transport';
import { Command } from 'commander';
import '../demo-datasets.ts';
import { openTogether, parseFps } from '../dataset/open-together.ts';
import { clientIdentity } from '../identity/client-id.ts';
import { enrolmentWith, nodeKey } from '../identity/enrolments.ts';
import { readMembers } from '../identity/members.ts';
import { openActivityFile } from '../node/activity.ts';
import { describeMessages } from '../node/describe-messages.ts';
import { LocallyPrivateModel, parseLocalPrivacy } from '../node/local-privacy.ts';
import { resourcesOf } from '../node/resources.ts';
import { parseSendLog, sendLog } from '../node/send-log.ts';
import { SmolVlaClient } from '../node/smolvla-client.ts';
import { openStateDirectory } from '../node/state-directory.ts';
import { parseCacheMode, parseFrames, parseThreads } from '../options.ts';
import { describeCache } from '../train/describe-cache.ts';
import { describeBatchParts, describeMemory } from '../train/describe-memory.ts';
import { trainingCost } from '../train/training-cost.ts';
import { collect, type Run } from './run-action.ts';
import { startInBackground } from './start-in-background.ts';

interface StartOptions extends Readonly<Record<string, unknown>> {
  readonly server: string;
  readonly dataset: string[];
  readonly fps?: number;
  readonly wait?: boolean;
  readonly id?: string;
  readonly device: string;
  readonly precision: string;
  readonly threads?: number;
  readonly cache: string;
  readonly cacheBudget: string;
  readonly corruptFrames?: number;
  readonly policy?: string;
  readonly logFile: string[];
  readonly state?: string;
  readonly insecure?: boolean;
  readonly private?: boolean;
  readonly localClip?: number;
  readonly localNoise?: number;
  readonly maskedOnly?: boolean;
  readonly members?: string;
  readonly sendLog: string;
  readonly dryRun?: boolean;
  readonly detach?: boolean;
  readonly verbose?: boolean;
}

/** `zk0-client start`: joins a federation and trains whenever the server asks. */
export function startCommand(run: Run, version: string): Command {
  const command = new Command('start')
    .description('Join a federation and train on your dataset whenever the server asks. Ctrl-C leaves.')
    .requiredOption('--server <url>', 'the server, as it printed it')
    .option('--dataset <uri>', 'your recordings: a path, hf:owner/name, or demo:<task> (repeatable: several are read as one; PATH?weight=2 counts twice)', collect, [])
    .option('--fps <n>', 'frames a second that faster recordings are taken down to (default: as recorded, and all have to be alike)', Number)
    .option('--wait', 'wait for a server that is not there yet, instead of ending after ten seconds (always so under systemd)')
    .option('--detach', 'run in the background; see zk0-client status, logs and stop')
    .option('--id <name>', 'this node’s id (default: made once and kept)')
    .option('--device <name>', 'execution provider: auto, cpu, cuda, webgpu, …', 'auto')
    .option('--precision <type>', 'matrix products in: auto, float32, float16, bfloat16', 'auto')
    .option('--threads <n>', 'CPU threads for training (default: all cores)', Number)
    .option('--cache <mode>', 'frozen work kept on disk: auto, prefix, vision or off', 'auto')
    .option('--cache-budget <size>', 'most disk the cache may take', '50GB')
    .option('--corrupt-frames <n>', 'undecodable frames to skip at most (default: 1 % of all)', Number)
    .option('--policy <path|name>', 'a copy of the policy, instead of the source that the server names')
    .option('--log-file <file>', 'append the log there (repeatable; default: in the state directory)', collect, [])
    .option('--state <dir>', 'where downloads and the log are kept')
    .option('--private', 'say nothing of the recordings’ values: what private runs (dp-*) ask for')
    .option('--local-clip <c>', 'local differential privacy: bound the length of each update to this (with --local-noise)', Number)
    .option('--local-noise <z>', 'and add noise of z × c to every value before it leaves; implies --private', Number)
    .option('--masked-only', 'send updates masked or not at all: refuse runs without secure aggregation')
    .option('--members <file>', 'and share masks with these nodes alone: a line for each, its id and its key’s fingerprint; implies --masked-only')
    .option('--send-log <level>', 'send lines of the log to the server, for its operator: off, error, warn or info', 'off')
    .option('--dry-run', 'show what would be sent to the server, and send nothing')
    .option('--verbose', 'more output; error codes and stacks with errors');
  withTlsOptions(withRecordingOptions(command, UNIT_CONVENTIONS)).action((options: StartOptions) => {
    run(async (signal) => {
      if (options.detach === true) return startInBackground(options);
      try {
        await start(options, version, stopWithParent(signal));
      } catch (error) {
        // Told to stop while it was getting ready: it has stopped in order all the same.
        if (!signal.aborted || (error as Partial<Zk0Error>).code !== 'CANCELLED') throw error;
        return serviceExitCode(signal) ?? EXIT_CODE.interrupted;
      }
      return serviceExitCode(signal);
    });
  });
  return command;
}

async function start(options: StartOptions, version: string, signal: AbortSignal): Promise<void> {
  const cache = parseCacheMode(options.cache);
  const cacheBudgetBytes = parseBytes('--cache-budget', options.cacheBudget);
  const how = readRecordingOptions(options, UNIT_CONVENTIONS);
  const corruptFrames = parseFrames('--corrupt-frames', options.corruptFrames);
  const threads = parseThreads(options.threads);
  const privacy = parseLocalPrivacy(options.localClip, options.localNoise);
  const isPrivate = options.private === true || privacy !== undefined;
  const sent = parseSendLog(options.sendLog, isPrivate);
  const enrolment = await enrolmentWith(options.server);
  const clientId = await clientIdentity(options.id ?? enrolment?.clientId);
  const members = options.members === undefined ? undefined : await readMembers(options.members);
  const maskedOnly = options.maskedOnly === true || members !== undefined;
  const key = await nodeKey();
  const tls = readTls(options);
  const state = options.state ?? join(zk0Home(), 'clients', clientId);
  const held = await openStateDirectory(state);
  const files = options.logFile.length > 0 ? options.logFile : [join(state, 'client.log')];
  // In the background the log is the place to look; the file that stands for the terminal gets what ends the client.
  const progress = createProgress(process.stderr, { quiet: isDetached() });
  let isEnding = false;
  const log = createLogger({
    process: clientId.startsWith('client') ? clientId : `client_${clientId}`,
    level: options.verbose === true ? 'debug' : 'info',
    console: isDetached() ? false : { write: (text) => { if (!isEnding) progress.console.write(text); } },
    plainConsole: options.verbose !== true,
    files,
  });
  const forget = writeProcessFile(state, { server: options.server, log: files[0]! });
  try {
    const { dataset, notes } = await openTogether(options.dataset, { ...how, fps: parseFps(options.fps), progress, signal });
    try {
      requireCameras(dataset.info);
      const { name, episodes, frameCount, cameras } = dataset.info;
      for (const note of notes) log.warn(note);
      if (maskedOnly) log.info(`this node in a file of members: ${clientId} ${key.fingerprint}`);
      log.info(`dataset ${name}: ${episodes.length} episodes, ${frameCount} frames, ${cameras.length} cameras`);
      let device: string | undefined;
      const model = new SmolVlaClient({
        dataset,
        device: options.device,
        precision: options.precision,
        private: isPrivate,
        onPolicy: async (policy, { localSteps, batchSize }) => {
          device = policy.device;
          log.info(describeDevice(policy));
          for (const cut of describeCutTasks(policy, dataset.info.tasks)) log.warn(`dataset ${name}: ${cut}`);
          const cost = await trainingCost(policy, { steps: localSteps, batchSize, frames: frameCount, cameras: dataset.info.cameras.length }, threads);
          if (cost !== null) log.info(`the first round, with the frozen part of all frames: ${cost}`);
        },
        onCache: (kept) => {
          log.info(describeCache(kept, frameCount));
        },
        onMemory: (memory) => {
          log.info(describeMemory(memory));
        },
        onBatchParts: (change) => {
          log.warn(describeBatchParts(change));
        },
        cache,
        cacheBudgetBytes,
        cacheDirectory: zk0Home(),
        onCorruptFrame: (frame, error) => {
          log.warn(`frame ${frame} of ${name} is skipped: ${error.message}`);
        },
        ...(corruptFrames === undefined ? {} : { corruptFrames }),
        ...(threads === undefined ? {} : { threads }),
        ...(options.policy === undefined ? {} : { policyOverride: options.policy }),
      });
      const introduction = { name: clientId, agent: `zk0-client ${version}` };
      if (options.dryRun === true) {
        progress.finish();
        process.stdout.write(`${describeMessages({ ...introduction, profile: model.profile() }, isPrivate, privacy, sent)}\n`);
        return;
      }
      const activity = openActivityFile(state, options.server, name);
      const connection = connect({
        url: options.server,
        clientId,
        instance: held.instance,
        ...(enrolment === undefined ? {} : { enrolment: { key, serverId: enrolment.serverId } }),
        ...(tls === undefined ? {} : { tls }),
        ...(options.insecure === undefined ? {} : { allowInsecure: options.insecure }),
        ...((options.wait === true || isUnderSystemd()) && { retry: { firstContactMs: Number.POSITIVE_INFINITY } }),
        onConnectionState: (now) => {
          activity.connected(now.state === 'connected');
          if (now.state === 'connected') log.info(`connected to ${options.server}`);
          else log.warn(`${now.error instanceof RemoteError ? 'the server cannot take it now' : 'no connection'} (attempt ${now.attempt}): ${now.error.message}`);
        },
      });
      const reporter = new Reporter({ connection, ...(!isPrivate && { resources: resourcesOf(() => device) }) });
      const endSending = sendLog(log, sent, reporter);
      try {
        const blobs = await openBlobStore(join(state, 'blobs'), { durable: false });
        const participant = new Participant({
          connection,
          model: privacy === undefined ? model : new LocallyPrivateModel(model, privacy, state, (line) => { log.info(line); }),
          blobs,
          controls: new ControlStore(join(state, 'control'), clientId, blobs),
          optimizers: new OptimizerStore(join(state, 'optimizer'), clientId),
          residuals: new ResidualStore(join(state, 'residual'), clientId),
          secrets: new SecretStore(join(state, 'secure'), clientId),
          ...introduction,
          limits: { maskedOnly },
          trust: { signer: key, ...(members !== undefined && { members }) },
          log,
          reporter,
          onStatus: (status) => {
            activity.status(status);
            show(progress, status);
          },
        });
        announceReady([`its dataset is ${name}: ${episodes.length} episodes, ${frameCount} frames`]);
        await participant.run(signal);
      } finally {
        endSending();
        await activity.close();
        await connection.close();
        await model.close();
      }
    } finally {
      await dataset.close();
    }
  } catch (error) {
    // The program says it on the console as its last line.
    isEnding = true;
    if (!signal.aborted) log.error(error instanceof Error ? error.message : String(error), { error });
    throw error;
  } finally {
    progress.finish();
    forget();
    await log.close();
    held.close();
  }
}

/** Started by systemd, not from a terminal that systemd started. */
function isUnderSystemd(): boolean {
  return process.env['INVOCATION_ID'] !== undefined && !process.stderr.isTTY;
}

function show(progress: Progress, status: ParticipantStatus): void {
  switch (status.state) {
    case 'connecting':
      progress.update({ label: 'connecting' });
      return;
    case 'idle':
      progress.update({ label: 'waiting for work', ...(status.notice === undefined ? {} : { detail: status.notice }) });
      return;
    case 'blocked':
      progress.update({ label: `round ${status.round} waits`, detail: status.reason });
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

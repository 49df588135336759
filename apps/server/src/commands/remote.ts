import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createProgress, loadConfig, readTls, table, withTlsOptions } from '@zk0/cli';
import { Zk0Error, type JsonObject, type RunConfig } from '@zk0/core';
import { federationEventSchema } from '@zk0/federation';
import { adminClient, type AdminClient } from '@zk0/transport';
import { Command } from 'commander';
import { configSchema, runConfigOf, runFlags, withConfigOptions, withRunOptions } from '../config.ts';
import { RunReporter } from '../reporting/run-reporter.ts';
import { STATE_FOLDER, stateFiles } from '../server-process.ts';
import type { Run } from './run-action.ts';

const DEFAULT_SERVER = 'http://127.0.0.1:9092';

/** `zk0-server run`: submits a run to a running server. */
export function runCommand(run: Run): Command {
  const command = new Command('run')
    .description('Submit a run to a running server.')
    .option('--min-clients <n>', 'clients that must be there to start, and results a round needs', Number)
    .option('--stream', 'follow the run to its end');
  withServerOptions(withConfigOptions(withRunOptions(command))).action((options: Record<string, unknown>) => {
    run(async (signal) => {
      const config = runConfigOf(
        await loadConfig(configSchema, {
          file: options['config'] as string | undefined,
          flags: { ...runFlags(options), minClients: options['minClients'] },
          set: options['set'] as string[],
        }),
      );
      const admin = connectAdmin(options);
      try {
        const following = options['stream'] === true ? await follow(admin, signal) : null;
        const { runId } = await admin.submitRun(JSON.parse(JSON.stringify(config)) as JsonObject);
        process.stdout.write(`run ${runId} is submitted\n`);
        if (following === null) process.stdout.write('see it with: zk0-server status\n');
        else await stream(following, runId, config);
        return undefined;
      } finally {
        await admin.close();
      }
    });
  });
  return command;
}

/** A subscription, with its first event on the way. */
interface Following {
  readonly events: AsyncIterator<unknown>;
  readonly first: Promise<IteratorResult<unknown>>;
}

/** Resolves once the server has the subscription, so that no event of a run submitted afterwards is missed. */
function follow(admin: AdminClient, signal: AbortSignal): Promise<Following> {
  return new Promise((resolve, reject) => {
    const events = admin
      .follow({
        signal,
        onConnected: () => {
          resolve({ events, first });
        },
      })
      [Symbol.asyncIterator]();
    const first = events.next();
    first.catch(reject);
  });
}

async function stream({ events, first }: Following, runId: string, config: RunConfig): Promise<void> {
  const progress = createProgress(process.stderr);
  const reporter = new RunReporter(progress);
  reporter.take({ kind: 'run', runId, at: new Date().toISOString(), event: { type: 'run-created', runId, config } });
  for (let item = await first; item.done !== true; item = await events.next()) {
    const event = federationEventSchema.safeParse(item.value);
    if (event.success && event.data.runId === runId) reporter.take(event.data);
    if (reporter.ending !== undefined) break;
  }
  progress.finish();
  process.stdout.write(`${reporter.table()}\n`);
  const { ending } = reporter;
  if (ending === undefined) throw new Zk0Error('CONNECTION_LOST', 'the server went away', { hint: 'See `zk0-server status`.' });
  if (ending.phase === 'finished') return;
  throw new Zk0Error('RUN_ENDED', `run ${runId} ${ending.phase}: ${ending.message}`, { hint: 'The server’s log says more.' });
}

/** `zk0-server status` (and `runs`): who is there, and what is running. */
export function statusCommand(run: Run): Command {
  const command = new Command('status')
    .alias('runs')
    .description('Show the clients and runs of a running server.')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  withServerOptions(command).action((options: Record<string, unknown>) => {
    run(async () => {
      const admin = connectAdmin(options);
      try {
        const status = await admin.status();
        process.stdout.write(options['json'] === true ? `${JSON.stringify(status, null, 2)}\n` : describeStatus(status));
        return undefined;
      } finally {
        await admin.close();
      }
    });
  });
  return command;
}

/** `zk0-server stop`: ends a run; finished rounds stand. */
export function stopCommand(run: Run): Command {
  const command = new Command('stop')
    .description('Stop a run; what was finished stays.')
    .argument('[run]', 'run id; the current one when absent')
    .option('--verbose', 'error codes and stacks with errors');
  withServerOptions(command).action((runId: string | undefined, options: Record<string, unknown>) => {
    run(async () => {
      const admin = connectAdmin(options);
      try {
        const stopped = await admin.stop(runId);
        process.stdout.write(`run ${stopped.runId} is being stopped\n`);
        return undefined;
      } finally {
        await admin.close();
      }
    });
  });
  return command;
}

/** Adds what every command has that speaks to a running server. */
function withServerOptions(command: Command): Command {
  return withTlsOptions(
    command
      .option('--server <url>', 'the server', DEFAULT_SERVER)
        .option('--out <dir>', 'outputs folder of a server on this machine, where its operators’ token is (else ZK0_ADMIN_TOKEN)', 'outputs'),
  );
}

function connectAdmin(options: Readonly<Record<string, unknown>>): AdminClient {
  const token = process.env['ZK0_ADMIN_TOKEN'] ?? keptToken(join(String(options['out']), STATE_FOLDER));
  const tls = readTls(options);
  return adminClient({
    url: String(options['server']),
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
    ...(options['insecure'] === true && { allowInsecure: true }),
  });
}

/** The token that a server on this machine made for its operators, if whoever asks may read it. */
function keptToken(stateDirectory: string): string | undefined {
  try {
    return readFileSync(stateFiles(stateDirectory).operatorToken, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function describeStatus(status: JsonObject): string {
  const rows = (list: unknown, keys: readonly string[]): string[][] =>
    (list as readonly Readonly<Record<string, unknown>>[]).map((item) => keys.map((key) => cell(item[key])));
  const columns = (headers: readonly string[]): { header: string }[] => headers.map((header) => ({ header }));
  const clients = rows(status['clients'], ['clientId', 'label', 'numExamples', 'state', 'phase', 'step', 'loss', 'lastSeen', 'misfit']);
  const runs = rows(status['runs'], ['runId', 'phase', 'round', 'rounds', 'roundPhase', 'policyLoss', 'ending']);
  const text = [
    clients.length === 0
      ? 'no client has joined yet'
      : table(columns(['client', 'dataset', 'frames', 'state', 'doing', 'step', 'loss', 'last seen', 'cannot take part because']), clients),
    runs.length === 0
      ? 'no runs yet'
      : table(columns(['run', 'state', 'round', 'of', 'round is', 'held-out loss', 'ended because']), runs),
  ];
  if (typeof status['waiting'] === 'string') text.push(`the current run waits: ${status['waiting']}`);
  return `${text.join('\n\n')}\n`;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toFixed(4);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, readLog, runningProcess, stopProcess, zk0Home, type ProcessRecord } from '@zk0/cli';
import { InvalidArgumentError, Zk0Error } from '@zk0/core';
import { Command } from 'commander';
import { clientIdentity } from '../identity/client-id.ts';
import { describeActivity, readActivity, type Activity } from '../node/activity.ts';
import type { Run } from './run-action.ts';

/** A client that trains may take so long to stop: it finishes the write it is at. */
const STOP_MS = 60_000;
/** A running client writes what it does every few seconds; one that has not for so long hangs. */
const SILENT_MS = 120_000;

interface WhichOptions {
  readonly id?: string;
  readonly state?: string;
}

/** A client of this machine, by its state folder. */
interface LocalClient {
  readonly id: string;
  readonly directory: string;
  readonly process: ProcessRecord | undefined;
  readonly activity: Activity | undefined;
}

/** `zk0-client status`: what the clients of this machine are doing. */
export function statusCommand(run: Run): Command {
  return which(new Command('status'))
    .description('Show what the clients of this machine are doing. Exit code 0 when one runs and is alive, else 1.')
    .option('--json', 'for scripts')
    .action((options: WhichOptions & { readonly json?: boolean }) => {
      run(async () => {
        const clients = await localClients(options);
        const running = clients.filter(({ process }) => process !== undefined);
        if (options.json === true) process.stdout.write(`${JSON.stringify(clients, null, 2)}\n`);
        else process.stdout.write(`${clients.length === 0 ? NONE : clients.map(describeClient).join('\n\n')}\n`);
        const isAlive = running.some(({ activity }) => activity === undefined || Date.now() - activity.at < SILENT_MS);
        return isAlive ? undefined : 1;
      });
    });
}

/** `zk0-client stop`: ends a client of this machine in order. */
export function stopCommand(run: Run): Command {
  return which(new Command('stop'))
    .description('Stop a client of this machine. It tells the server that it leaves.')
    .action((options: WhichOptions) => {
      run(async (signal) => {
        const client = await oneRunning(options);
        const gone = await stopProcess(client.process, STOP_MS, signal);
        if (!gone) {
          throw new Zk0Error('STOP_PENDING', `client ${client.id} (PID ${client.process.pid}) has been asked to stop and is not gone yet`, {
            hint: 'See zk0-client status; a second `zk0-client stop` ends it at once.',
          });
        }
        process.stdout.write(`client ${client.id} has stopped\n`);
        return undefined;
      });
    });
}

/** `zk0-client logs`: the log of a client of this machine. */
export function logsCommand(run: Run): Command {
  return which(new Command('logs'))
    .description('Print the log of a client of this machine.')
    .option('-f, --follow', 'go on printing what is added')
    .option('-n, --lines <n>', 'lines from the end to begin with; 0: all', Number, 200)
    .action((options: WhichOptions & { readonly follow?: boolean; readonly lines: number }) => {
      run(async (signal) => {
        if (!Number.isInteger(options.lines) || options.lines < 0) throw new InvalidArgumentError('--lines must be a whole number from 0 on');
        const clients = await localClients(options);
        const running = clients.filter(({ process }) => process !== undefined);
        const client = exactlyOne(running.length > 0 ? running : clients);
        const file = logOf(client);
        if (!existsSync(file)) throw new Zk0Error('LOG_NOT_FOUND', `client ${client.id} has no log at ${file}`, { hint: 'Name the client with --id.' });
        for await (const text of readLog(file, { lines: options.lines, follow: options.follow === true, signal })) process.stdout.write(text);
        return undefined;
      });
    });
}

function which(command: Command): Command {
  return command
    .option('--id <name>', 'which client (default: the only one)')
    .option('--state <dir>', 'its state directory, if it was started with --state')
    .option('--verbose', 'error codes and stacks with errors');
}

const NONE = 'no client has run on this machine; start one with: zk0-client start --server URL --dataset PATH';

/** The clients that have a state folder here, or the one that is named. */
async function localClients({ id, state }: WhichOptions): Promise<LocalClient[]> {
  if (state !== undefined) return [clientIn(state, id ?? state)];
  const folder = join(zk0Home(), 'clients');
  if (id !== undefined) {
    const directory = join(folder, await clientIdentity(id));
    return existsSync(directory) ? [clientIn(directory, id)] : [];
  }
  if (!existsSync(folder)) return [];
  const all = readdirSync(folder).sort().map((name) => clientIn(join(folder, name), name));
  // Those of earlier days matter only while none runs.
  const running = all.filter(({ process }) => process !== undefined);
  return running.length > 0 ? running : all;
}

function clientIn(directory: string, id: string): LocalClient {
  return { id, directory, process: runningProcess(directory), activity: readActivity(directory) };
}

async function oneRunning(options: WhichOptions): Promise<LocalClient & { readonly process: ProcessRecord }> {
  const running = (await localClients(options)).filter((client): client is LocalClient & { readonly process: ProcessRecord } => client.process !== undefined);
  return exactlyOne(running);
}

function exactlyOne<T extends LocalClient>(clients: readonly T[]): T {
  const [only, ...others] = clients;
  if (only === undefined) {
    throw new Zk0Error('CLIENT_NOT_RUNNING', 'no such client runs on this machine', {
      hint: 'See zk0-client status. One that was started with --state is found with --state; one of another user is not.',
    });
  }
  if (others.length > 0) {
    throw new InvalidArgumentError(`${clients.length} clients are here: ${clients.map(({ id }) => id).join(', ')}`, { hint: 'Name one with --id.' });
  }
  return only;
}

function logOf({ directory, process }: LocalClient): string {
  const named = process?.['log'];
  return typeof named === 'string' ? named : join(directory, 'client.log');
}

function describeClient(client: LocalClient): string {
  const { id, process, activity } = client;
  const log = logOf(client);
  const head = process === undefined ? `client ${id} is not running` : `client ${id}, PID ${process.pid}, since ${local(Date.parse(process.started))}`;
  const rows: [string, string][] = [];
  if (activity !== undefined) {
    const silent = process !== undefined && Date.now() - activity.at > SILENT_MS;
    rows.push(['server', `${activity.server}${process === undefined ? '' : activity.isConnected ? ', connected' : ', no connection'}`]);
    rows.push(['dataset', activity.dataset]);
    rows.push([process === undefined ? 'did last' : 'does', describeActivity(activity)]);
    rows.push(['sent', `${activity.rounds} ${activity.rounds === 1 ? 'update' : 'updates'}, ${formatBytes(activity.bytes.up)} up, ${formatBytes(activity.bytes.down)} down`]);
    if (process === undefined || silent) rows.push([silent ? 'silent since' : 'seen', local(activity.at)]);
  }
  rows.push(['log', log]);
  return [head, ...rows.map(([name, value]) => `  ${name.padEnd(8)} ${value}`)].join('\n');
}

function local(ms: number): string {
  return new Date(ms).toLocaleString('sv-SE').slice(0, 16);
}

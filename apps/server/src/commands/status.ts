import { formatBytes, formatDuration, table } from '@zk0/cli';
import type { JsonObject } from '@zk0/core';
import { Command } from 'commander';
import * as z from 'zod';
import type { Run } from './run-action.ts';
import { withAdmin, withServerOptions } from './admin-connection.ts';

/** Ended runs that are listed; `--json` has all. */
const MAX_ENDED = 10;

const statusSchema = z.object({
  clients: z.array(
    z.object({
      clientId: z.string(),
      label: z.string(),
      numExamples: z.number(),
      state: z.string(),
      round: z.number().optional(),
      phase: z.string().optional(),
      step: z.number().optional(),
      totalSteps: z.number().optional(),
      loss: z.number().optional(),
      phaseSince: z.number().optional(),
      bytesUp: z.number().default(0),
      bytesDown: z.number().default(0),
      lastSeen: z.string(),
      misfit: z.string().optional(),
      resources: z.object({ memoryBytes: z.number(), gpu: z.object({ memoryBytes: z.number() }).optional() }).optional(),
    }),
  ),
  runs: z.array(
    z.object({
      runId: z.string(),
      phase: z.string(),
      round: z.number(),
      rounds: z.number(),
      roundPhase: z.string().nullable(),
      asked: z.number(),
      heard: z.number(),
      policyLoss: z.number().nullable(),
      ending: z.string().nullable(),
      paused: z.string().nullable().default(null),
      isResting: z.boolean().default(false),
    }),
  ),
  current: z.string().nullable(),
  waiting: z.string().nullable(),
});
type Status = z.infer<typeof statusSchema>;

/** `zk0-server status` (and `runs`): who is there, and what is running. */
export function statusCommand(run: Run): Command {
  const command = new Command('status')
    .alias('runs')
    .description('Show the clients and runs of a running server.')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
  withServerOptions(command).action((options: Record<string, unknown>) => {
    run(() =>
      withAdmin(options, async (admin) => {
        const status = await admin.status();
        process.stdout.write(options['json'] === true ? `${JSON.stringify(status, null, 2)}\n` : describeStatus(status));
        return undefined;
      }),
    );
  });
  return command;
}

/** The answer of a server as people read it. */
export function describeStatus(answer: JsonObject, now = Date.now(), width?: number): string {
  const status = statusSchema.parse(answer);
  const parts = [describeClients(status.clients, now, width), describeRuns(status, width)];
  const misfits = status.clients.filter(({ misfit }) => misfit !== undefined);
  if (misfits.length > 0) parts.push(misfits.map(({ clientId, misfit }) => `client ${clientId} cannot take part: ${misfit!}`).join('\n'));
  if (status.waiting !== null) parts.push(`run ${status.current ?? ''} waits: ${status.waiting}`);
  return `${parts.join('\n\n')}\n`;
}

function describeClients(clients: Status['clients'], now: number, width: number | undefined): string {
  if (clients.length === 0) return 'no client has joined yet';
  const columns = [
    { header: 'client' },
    { header: 'dataset' },
    { header: 'frames', align: 'right' },
    { header: 'does' },
    { header: 'loss', align: 'right' },
    { header: 'speed', align: 'right' },
    { header: 'memory', align: 'right' },
    { header: 'up', align: 'right' },
    { header: 'down', align: 'right' },
    { header: 'last seen' },
  ] as const;
  return table(
    columns,
    clients.map((client) => [
      client.clientId,
      client.label,
      String(client.numExamples),
      doing(client),
      client.loss === undefined ? '' : client.loss.toFixed(4),
      speed(client),
      memory(client),
      client.bytesUp === 0 ? '' : formatBytes(client.bytesUp),
      client.bytesDown === 0 ? '' : formatBytes(client.bytesDown),
      seen(client.lastSeen, now),
    ]),
    width,
  );
}

function doing({ state, round, phase, step, totalSteps, misfit }: Status['clients'][number]): string {
  if (state === 'idle') return misfit === undefined ? 'waits for work' : 'cannot take part';
  if (state !== 'working') return state === 'left' ? 'has left' : state;
  const isTransfer = phase === 'downloading' || phase === 'uploading';
  const done = step ?? 0;
  const total = totalSteps ?? 0;
  const steps = total === 0 ? '' : isTransfer ? ` ${formatBytes(done)}/${formatBytes(total)}` : ` ${done}/${total}`;
  return `round ${round ?? '?'} ${phase ?? ''}${steps}`;
}

/** Of the present phase, over all of it. */
function speed({ state, phase, step = 0, phaseSince, lastSeen }: Status['clients'][number]): string {
  if (state !== 'working' || phaseSince === undefined || step === 0) return '';
  const seconds = (Date.parse(lastSeen) - phaseSince) / 1000;
  if (seconds < 1) return '';
  const rate = step / seconds;
  return phase === 'downloading' || phase === 'uploading' ? `${formatBytes(rate)}/s` : `${rate.toPrecision(2)} steps/s`;
}

/** Of its process, and of its graphics processor where it says so. */
function memory({ resources }: Status['clients'][number]): string {
  if (resources === undefined) return '';
  return `${formatBytes(resources.memoryBytes)}${resources.gpu === undefined ? '' : ` + ${formatBytes(resources.gpu.memoryBytes)}`}`;
}

/** In local time, and how long ago that is. */
function seen(iso: string, now: number): string {
  const time = new Date(iso);
  const ago = Math.max(0, (now - time.getTime()) / 1000);
  const clock = time.toLocaleString('sv-SE');
  return `${ago < 86_400 ? clock.slice(11, 19) : clock.slice(0, 16)}${ago < 20 ? '' : ` (${formatDuration(ago)} ago)`}`;
}

function stateOf({ runId, phase, paused, isResting }: Status['runs'][number], current: string | null): string {
  if (paused !== null) return isResting ? 'paused' : 'pausing';
  if (phase !== 'waiting_for_clients') return phase;
  return runId === current ? 'waiting' : 'queued';
}

function describeRuns({ runs, current }: Status, width: number | undefined): string {
  if (runs.length === 0) return 'no runs yet';
  const isOpen = ({ phase }: Status['runs'][number]): boolean => phase === 'running' || phase === 'waiting_for_clients';
  const open = runs.filter(isOpen);
  const ended = runs.filter((one) => !isOpen(one));
  const shown = [...ended.slice(-MAX_ENDED), ...open];
  const rows = shown.map((one) => [
    one.runId,
    stateOf(one, current),
    one.round === 0 ? `0 of ${one.rounds}` : `${one.round} of ${one.rounds}`,
    isOpen(one) && one.roundPhase !== null ? `${one.roundPhase}, ${one.heard} of ${one.asked} heard` : '',
    one.policyLoss === null ? '' : one.policyLoss.toFixed(4),
    one.ending ?? one.paused ?? '',
  ]);
  const more = ended.length > MAX_ENDED ? `\n${ended.length - MAX_ENDED} earlier runs are not shown (--json has them)` : '';
  return (
    table([{ header: 'run' }, { header: 'state' }, { header: 'round' }, { header: 'the round' }, { header: 'held-out loss', align: 'right' }, { header: 'because' }], rows, width) +
    more
  );
}

import type { FederationStatus } from '@zk0/federation';

type Labels = Readonly<Record<string, string>>;

/** One measured value. */
interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

const PHASES = ['waiting_for_clients', 'running', 'finished', 'failed', 'stopped', 'unreadable'] as const;

/** What the process itself says of its work. */
export interface ProcessFigures {
  readonly version: string;
  /** Seconds of processor time. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Seconds since 1970. */
  readonly startedAt: number;
}

/**
 * A server's state in Prometheus' text format 0.0.4: clients, runs, the run that is driven, the process. Names that clients chose are labels,
 * escaped; their number is bounded by that of the clients.
 */
export function prometheusText({ clients, runs, current }: FederationStatus, process: ProcessFigures): string {
  const states = new Map<string, number>();
  for (const { state } of clients) states.set(state, (states.get(state) ?? 0) + 1);
  const run = runs.find(({ runId }) => runId === current);
  const ofRun = (value: number | null | undefined): Sample[] => (run === undefined || value == null ? [] : [{ labels: { run: run.runId }, value }]);
  const transfers = clients.flatMap(({ clientId: client, bytesUp, bytesDown }): Sample[] => [
    { labels: { client, direction: 'up' }, value: bytesUp },
    { labels: { client, direction: 'down' }, value: bytesDown },
  ]);
  const losses = clients.flatMap((client): Sample[] => {
    const { loss } = client as { readonly loss?: unknown };
    return typeof loss === 'number' ? [{ labels: { client: client.clientId }, value: loss }] : [];
  });
  return [
    family('zk0_info', 'gauge', 'Version of the server; always 1.', [{ labels: { version: process.version }, value: 1 }]),
    family('zk0_clients', 'gauge', 'Clients that the server knows, by what they do.', [...states].map(([state, value]) => ({ labels: { state }, value }))),
    family('zk0_clients_misfit', 'gauge', 'Clients that cannot take part in the run that is driven.', [{ value: clients.filter(({ misfit }) => misfit !== undefined).length }]),
    family('zk0_client_last_seen_seconds', 'gauge', 'When each client was heard last, in seconds since 1970.', clients.map(({ clientId, lastSeen }) => ({ labels: { client: clientId }, value: Date.parse(lastSeen) / 1000 }))),
    family('zk0_client_loss', 'gauge', 'Policy loss of the step that each client is at.', losses),
    family('zk0_client_transfer_bytes_total', 'counter', 'Bytes of parameters that each client has moved.', transfers),
    family('zk0_runs', 'gauge', 'Runs in the ledger, by phase.', PHASES.map((phase) => ({ labels: { phase }, value: runs.filter((one) => one.phase === phase).length }))),
    family('zk0_run_round', 'gauge', 'Newest round of the run that is driven.', ofRun(run?.round)),
    family('zk0_run_rounds', 'gauge', 'Rounds that the run that is driven has at most.', ofRun(run?.rounds)),
    family('zk0_run_clients_asked', 'gauge', 'Clients that the newest round asked.', ofRun(run?.asked)),
    family('zk0_run_clients_heard', 'gauge', 'Clients that have answered in the newest round.', ofRun(run?.heard)),
    family('zk0_run_held_out_loss', 'gauge', 'Policy loss on held-out recordings, as evaluated last.', ofRun(run?.policyLoss)),
    family('process_cpu_seconds_total', 'counter', 'Processor time of the server.', [{ value: process.cpuSeconds }]),
    family('process_resident_memory_bytes', 'gauge', 'Memory of the server.', [{ value: process.residentBytes }]),
    family('process_start_time_seconds', 'gauge', 'When the server started, in seconds since 1970.', [{ value: process.startedAt }]),
  ].join('');
}

/** What this process has used so far. */
export function processFigures(version: string): ProcessFigures {
  const { user, system } = process.cpuUsage();
  return { version, cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss(), startedAt: Date.now() / 1000 - process.uptime() };
}

function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string {
  const lines = samples.map(({ labels = {}, value }) => {
    const text = Object.entries(labels).map(([label, text]) => `${label}="${escape(text)}"`).join(',');
    return `${name}${text === '' ? '' : `{${text}}`} ${Number.isFinite(value) ? value : 'NaN'}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

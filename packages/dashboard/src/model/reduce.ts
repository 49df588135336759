import type { ClientRecord, PageEvent } from './events.ts';
import { reduceRun, reduceRunProgress } from './reduce-run.ts';
import type { ClientView, LogLine, PageView } from './view.ts';

/** Lines of the log that are kept of the server, and of all clients together. */
export const MAX_LOG_LINES = 1000;
/** Of them, lines of one client. */
const MAX_CLIENT_LINES = 200;
/** How much the newest report counts for a client's speed. */
const RATE_WEIGHT = 0.3;

/**
 * The page's view after some events. Pure: server and browser fold the same events and have the same view. A whole batch is folded at
 * once, so that each part of the view is copied at most once however many clients report.
 */
export function reducePage(view: PageView, events: readonly PageEvent[]): PageView {
  let next: PageView = view;
  let clients: Map<string, ClientView> | undefined;
  for (const event of events) {
    switch (event.type) {
      case 'server':
        next = { ...next, server: { ...next.server, at: event.at, memoryBytes: event.memoryBytes } };
        break;
      case 'clients':
        clients ??= new Map(view.clients);
        for (const record of event.changed) clients.set(record.clientId, withRecord(clients.get(record.clientId), record));
        for (const clientId of event.gone) clients.delete(clientId);
        break;
      case 'progress': {
        clients ??= new Map(view.clients);
        const client = clients.get(event.clientId);
        if (client !== undefined) clients.set(event.clientId, withProgress(client, event));
        if (next.run?.runId === event.runId) next = { ...next, run: reduceRunProgress(next.run, event) };
        break;
      }
      case 'server-work': {
        const { runId, phase, step, totalSteps } = event;
        if (next.run?.runId === runId) next = { ...next, run: { ...next.run, serverWork: { phase, step, totalSteps } } };
        break;
      }
      case 'runs': {
        const runs = new Map(next.runs);
        for (const brief of event.changed) runs.set(brief.runId, brief);
        const { current = next.current, waiting = next.waiting } = event;
        next = { ...next, runs, current, waiting };
        break;
      }
      case 'opened':
        next = { ...next, run: event.run };
        break;
      case 'run':
        if (next.run?.runId === event.runId) next = { ...next, run: reduceRun(next.run, event) };
        if (event.change.type === 'accepted' || event.change.type === 'refused') {
          clients ??= new Map(view.clients);
          const client = clients.get(event.change.clientId);
          if (client?.state === 'working') clients.set(client.clientId, idle(client));
        }
        break;
      case 'nodes':
        next = { ...next, nodes: event.nodes };
        break;
      case 'log':
        next = { ...next, log: newestLines([...next.log, ...event.lines]) };
    }
  }
  return clients === undefined ? next : { ...next, clients };
}

/** The newest lines: whatever clients send, it pushes no line of the server out, and little of each other's. */
export function newestLines(lines: readonly LogLine[]): readonly LogLine[] {
  if (lines.length <= MAX_CLIENT_LINES) return lines;
  const counts = new Map<string, number>();
  const count = (name: string, most: number): boolean => {
    const now = (counts.get(name) ?? 0) + 1;
    counts.set(name, now);
    return now <= most;
  };
  const isKept = ({ process }: LogLine): boolean => (process === 'server' ? count('server', MAX_LOG_LINES) : count(process, MAX_CLIENT_LINES) && count(' all clients', MAX_LOG_LINES));
  return lines.toReversed().filter(isKept).reverse();
}

/** A list says who is there; what a client's own reports said of its speed stays while it is at the same work. */
function withRecord(before: ClientView | undefined, record: ClientRecord): ClientView {
  if (before?.state !== 'working' || record.state !== 'working' || before.phase !== record.phase || before.round !== record.round) return record;
  return {
    ...record,
    ...(before.rate !== undefined && { rate: before.rate }),
    ...(before.reportedAt !== undefined && { reportedAt: before.reportedAt }),
  };
}

function withProgress(client: ClientView, { at, round, phase, step, totalSteps, loss }: Extract<PageEvent, { type: 'progress' }>): ClientView {
  const { state, misfit, memory, rate: oldRate, reportedAt, loss: oldLoss, ...identity } = client;
  const isSame = state === 'working' && client.phase === phase && client.round === round;
  const seconds = isSame && reportedAt !== undefined ? (at - reportedAt) / 1000 : 0;
  const steps = step - (client.step ?? 0);
  const now = seconds > 0 && steps >= 0 ? steps / seconds : undefined;
  const rate = now === undefined ? (isSame ? oldRate : undefined) : oldRate === undefined || !isSame ? now : oldRate + RATE_WEIGHT * (now - oldRate);
  const shown = loss ?? oldLoss;
  return {
    ...identity,
    ...(misfit !== undefined && { misfit }),
    ...(memory !== undefined && { memory }),
    state: 'working',
    lastSeen: Math.max(at, client.lastSeen),
    round,
    phase,
    step,
    totalSteps,
    ...(shown !== undefined && { loss: shown }),
    ...(rate !== undefined && { rate }),
    reportedAt: at,
  };
}

function idle({ clientId, name, agent, dataset, examples, lastSeen, misfit, memory }: ClientView): ClientView {
  return { clientId, name, agent, dataset, examples, lastSeen, state: 'idle', ...(misfit !== undefined && { misfit }), ...(memory !== undefined && { memory }) };
}

import { clientIdSchema, type JsonObject, type OperatorPage, type OperatorPrincipal } from '@zk0/core';
import { silentLog, type FederationLog } from '@zk0/federation';
import * as z from 'zod';
import { DashboardError } from './errors.ts';
import { Feed } from './feed/feed.ts';
import { roundView, runView } from './feed/run-history.ts';
import type { DashboardLogRecord, DashboardSources } from './feed/sources.ts';
import { encode } from './model/wire.ts';

/** What a dashboard is made of. */
export interface DashboardOptions extends DashboardSources {
  /** The program's version, for people. */
  readonly version: string;
  readonly log?: FederationLog;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** The page for operators, for a transport to serve. */
export interface Dashboard extends OperatorPage {
  /** Takes a line of a log for the page's live log. Never throws. */
  readonly line: (record: DashboardLogRecord) => void;
  /** Ends every stream, and follows nothing any more. */
  readonly close: () => void;
}

const name = z.string().min(1).max(300);
const runSchema = z.strictObject({ run: name });
const roundSchema = z.strictObject({ run: name, round: z.coerce.number().int().min(0) });
const stopSchema = z.strictObject({ run: name });
const partSchema = z.strictObject({ run: name, client: clientIdSchema });
const submitSchema = z.strictObject({ config: z.record(z.string(), z.json()) });
const nodeSchema = z.strictObject({ node: name });

/** Makes the page of a server. There is little that it does before somebody opens it. */
export function createDashboard({ version, log = silentLog, now = Date.now, ...sources }: DashboardOptions): Dashboard {
  const { ledger, coordinator, nodes, successes, clip } = sources;
  const feed = new Feed({ ...sources, version, log, now });
  let files: ReturnType<OperatorPage['files']> | undefined;

  const reads: Readonly<Record<string, (parameters: unknown) => Promise<unknown>>> = {
    run: async (parameters) => runView(ledger, parse(runSchema, parameters).run),
    round: async (parameters) => {
      const { run, round } = parse(roundSchema, parameters);
      return roundView(ledger, run, round);
    },
    success: async (parameters) => {
      const { run } = parse(runSchema, parameters);
      // The name may become that of a folder: it has to be one that the ledger has.
      return (await isKnown(run)) ? ((await successes?.(run)) ?? []) : null;
    },
  };
  const actions: Readonly<Record<string, (operator: OperatorPrincipal, input: JsonObject) => Promise<unknown>>> = {
    stop: async (operator, input) => coordinator.stop(`stopped by ${operator.name}`, parse(stopSchema, input).run),
    pause: async (operator, input) => coordinator.changeRun(operator, { change: 'pause', runId: parse(stopSchema, input).run }),
    resume: async (operator, input) => coordinator.changeRun(operator, { change: 'resume', runId: parse(stopSchema, input).run }),
    exclude: async (operator, input) => changePart(operator, 'exclude', input),
    readmit: async (operator, input) => changePart(operator, 'readmit', input),
    submit: async (operator, input) => coordinator.submitRun(operator, parse(submitSchema, input).config),
    approve: async ({ name: who }, input) => changeNode('approveNode', parse(nodeSchema, input).node, `approved by ${who}`),
    revoke: async ({ name: who }, input) => changeNode('revokeNode', parse(nodeSchema, input).node, `revoked by ${who}`),
  };

  function changePart(operator: OperatorPrincipal, change: 'exclude' | 'readmit', input: JsonObject): Promise<unknown> {
    const { run, client } = parse(partSchema, input);
    return coordinator.changeRun(operator, { change, runId: run, clientId: client });
  }

  async function isKnown(run: string): Promise<boolean> {
    for await (const entries of ledger.history(run)) return entries.length > 0;
    return false;
  }

  async function changeNode(change: 'approveNode' | 'revokeNode', node: string, what: string): Promise<void> {
    if (nodes === undefined) throw invalid('nodes do not enrol with this server');
    await nodes[change](node);
    log.info(`node ${node} was ${what}`);
  }

  return {
    files: () => (files ??= loadFiles()),
    stream: (lastId, signal) => feed.stream(lastId, signal),
    read: async (what, parameters) => {
      const read = Object.hasOwn(reads, what) ? reads[what] : undefined;
      if (read === undefined) throw invalid(`there is nothing to read by the name ${JSON.stringify(what.slice(0, 100))}`);
      const value = await read(parameters);
      if (value === null) throw invalid('there is no such run or round');
      return { data: encode(value) };
    },
    clip: async (run, checkpoint, file) => (clip !== undefined && (await isKnown(run)) ? clip(run, checkpoint, file) : null),
    act: async (operator, action, input) => {
      const act = Object.hasOwn(actions, action) ? actions[action] : undefined;
      if (act === undefined) throw invalid(`there is no action by the name ${JSON.stringify(action.slice(0, 100))}`);
      const result = await act(operator, input);
      await feed.refresh();
      return (result ?? {}) as JsonObject;
    },
    line: (record) => { feed.line(record); },
    close: () => { feed.close(); },
  };

  async function loadFiles(): ReturnType<OperatorPage['files']> {
    try {
      return await (await import('#page-files')).loadPage();
    } catch (error) {
      // Tried again by the next reader: somebody may have put right what was wrong.
      files = undefined;
      throw error;
    }
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

function invalid(message: string): DashboardError {
  return new DashboardError('PAGE_REQUEST_INVALID', message, { hint: 'Load the page again: the server may be of another release.' });
}

import { TrackerError } from './errors.ts';
import { requestJson } from './http.ts';
import { hasFigures, type FiguresLine, type TrackerLine } from './lines.ts';
import type { Service, ServiceOptions } from './service.ts';

/** Limits of one `runs/log-batch`, as the REST documentation has them. */
const MAX_METRICS = 1000;
const MAX_PARAMS = 100;
const MAX_PARAM_CHARS = 6000;
const MAX_KEY_CHARS = 250;
const RUN_TAG = 'zk0.run_id';
const STATUS = { finished: 'FINISHED', failed: 'FAILED', stopped: 'KILLED' } as const;

/** MLflow's REST API 2.0 (mlflow.org/docs/latest/api_reference/rest-api.html). Sending the same figure again changes nothing there. */
export function mlflow({ address, environment }: ServiceOptions): Service {
  const headers = authorization(environment);
  const call = async (path: string, signal: AbortSignal, body?: unknown): Promise<Readonly<Record<string, unknown>> | null> =>
    requestJson({ method: body === undefined ? 'GET' : 'POST', url: `${address.url}/api/2.0/mlflow/${path}`, headers, signal, ...(body !== undefined && { body }) });
  const must = async (path: string, signal: AbortSignal, body: unknown): Promise<Readonly<Record<string, unknown>>> => {
    const answer = await call(path, signal, body);
    if (answer === null) throw new TrackerError('TRACKER_UNAUTHORIZED', `MLflow at ${address.url} does not know the experiment or run any more`, { hint: 'Restore it there; figures are kept until then.' });
    return answer;
  };

  const experiment = async (signal: AbortSignal): Promise<string> => {
    const known = await call(`experiments/get-by-name?experiment_name=${encodeURIComponent(address.project)}`, signal);
    if (known !== null) return text(known, 'experiment', 'experiment_id');
    return text(await must('experiments/create', signal, { name: address.project }), 'experiment_id');
  };
  const begin = async ({ run, at, config }: TrackerLine & { kind: 'run' }, signal: AbortSignal): Promise<string> => {
    const experimentId = await experiment(signal);
    // The answer to an earlier attempt may have been lost.
    const found = await must('runs/search', signal, { experiment_ids: [experimentId], filter: `tags.\`${RUN_TAG}\` = '${run.replaceAll("'", '')}'`, max_results: 1 });
    const [existing] = (found['runs'] as readonly unknown[] | undefined) ?? [];
    const runId =
      existing !== undefined
        ? text(existing, 'info', 'run_id')
        : text(await must('runs/create', signal, { experiment_id: experimentId, run_name: run, start_time: at, tags: [{ key: RUN_TAG, value: run }, { key: 'mlflow.source.name', value: 'zk0' }] }), 'run', 'info', 'run_id');
    const params = Object.entries(config).map(([key, value]) => ({ key: name(key), value: String(value).slice(0, MAX_PARAM_CHARS) }));
    for (let start = 0; start < params.length; start += MAX_PARAMS) await must('runs/log-batch', signal, { run_id: runId, params: params.slice(start, start + MAX_PARAMS) });
    return runId;
  };
  const figures = async (lines: readonly FiguresLine[], runId: string, signal: AbortSignal): Promise<void> => {
    const metrics = lines.flatMap(({ step, at, values }) => Object.entries(values).map(([key, value]) => ({ key: name(key), value, timestamp: at, step })));
    for (let start = 0; start < metrics.length; start += MAX_METRICS) await must('runs/log-batch', signal, { run_id: runId, metrics: metrics.slice(start, start + MAX_METRICS) });
  };

  return {
    send: async (lines, remote, signal) => {
      let runId = remote['run_id'];
      for (const { line } of lines) {
        if (line.kind === 'run') runId = await begin(line, signal);
      }
      if (runId === undefined) throw new TrackerError('TRACKER_REFUSED', 'figures came before their run');
      await figures(lines.map(({ line }) => line).filter(hasFigures), runId, signal);
      for (const { line } of lines) {
        if (line.kind === 'end') await must('runs/update', signal, { run_id: runId, status: STATUS[line.state], end_time: line.at });
      }
      return { run_id: runId };
    },
  };
}

function authorization(environment: ServiceOptions['environment']): Readonly<Record<string, string>> {
  const { MLFLOW_TRACKING_TOKEN: token, MLFLOW_TRACKING_USERNAME: user, MLFLOW_TRACKING_PASSWORD: password } = environment;
  if (user !== undefined && user !== '') return { authorization: `Basic ${Buffer.from(`${user}:${password ?? ''}`).toString('base64')}` };
  return token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` };
}

/** Names of MLflow have letters, digits, `_-./: ` and spaces. */
function name(key: string): string {
  return key.replace(/[^\w\-./: ]/g, '_').slice(0, MAX_KEY_CHARS);
}

/** A text below an answer. */
function text(answer: unknown, ...path: readonly string[]): string {
  let value = answer;
  for (const key of path) value = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw new TrackerError('TRACKER_UNREACHABLE', `the answer has no ${path.join('.')}`, { hint: 'Check that MLflow is at this address.' });
}

import { TrackerError } from './errors.ts';
import { requestJson } from './http.ts';
import { hasFigures, type TrackerLine } from './lines.ts';
import type { Service, ServiceOptions } from './service.ts';

const BEGIN = `mutation UpsertBucket($name: String!, $project: String!, $entity: String, $config: JSONString) {
  upsertBucket(input: { name: $name, displayName: $name, modelName: $project, entityName: $entity, config: $config }) {
    bucket { name project { name entity { name } } }
  }
}`;

/**
 * Weights & Biases: a GraphQL mutation begins a run, then rows go to its file stream, each with its place in the history, so that sending one
 * again changes nothing. Steps of a history do not go back: a success that becomes known after later steps stands at the newest of them, and
 * `success/step` says which it is of. Written from the public client's requests; not tried against the service.
 */
export function wandb({ address, environment }: ServiceOptions): Service {
  const headers = { authorization: `Basic ${Buffer.from(`api:${environment['WANDB_API_KEY'] ?? ''}`).toString('base64')}` };
  const post = async (url: string, body: unknown, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> => {
    const answer = await requestJson({ method: 'POST', url, headers, body, signal });
    if (answer === null) throw new TrackerError('TRACKER_UNAUTHORIZED', `Weights & Biases at ${address.url} does not know the project or run`, { hint: 'Check entity and project; figures are kept until then.' });
    return answer;
  };
  const begin = async ({ run, config }: TrackerLine & { kind: 'run' }, signal: AbortSignal): Promise<Readonly<Record<string, string>>> => {
    const values = Object.fromEntries(Object.entries(config).map(([key, value]) => [key, { value }]));
    const variables = { name: idOf(run), project: address.project, entity: address.entity ?? null, config: JSON.stringify(values) };
    const answer = (await post(`${address.url}/graphql`, { query: BEGIN, variables }, signal)) as {
      errors?: readonly { message?: string }[];
      data?: { upsertBucket?: { bucket?: { name?: string; project?: { name?: string; entity?: { name?: string } } } } };
    };
    const bucket = answer.data?.upsertBucket?.bucket;
    const entity = bucket?.project?.entity?.name;
    if (bucket?.name === undefined || entity === undefined) {
      throw new TrackerError('TRACKER_UNAUTHORIZED', `Weights & Biases did not begin the run: ${answer.errors?.[0]?.message ?? 'it does not say why'}`, { hint: 'Check entity, project and WANDB_API_KEY.' });
    }
    return { run: bucket.name, entity, project: bucket.project?.name ?? address.project, rows: '0' };
  };

  return {
    send: async (lines, remote, signal) => {
      let known = remote;
      for (const { line } of lines) {
        if (line.kind === 'run') known = await begin(line, signal);
      }
      const { run, entity, project, rows = '0' } = known;
      if (run === undefined || entity === undefined || project === undefined) throw new TrackerError('TRACKER_REFUSED', 'figures came before their run');
      const stream = `${address.url}/files/${encodeURIComponent(entity)}/${encodeURIComponent(project)}/${encodeURIComponent(run)}/file_stream`;
      // The newest value of every name; a row has some of them.
      const summary = JSON.parse(known['summary'] ?? '{"_step":0}') as Record<string, number>;
      const content = lines.map(({ line }) => line).filter(hasFigures).map((line) => {
        const _step = Math.max(summary['_step'] ?? 0, line.step);
        const row = { ...line.values, ...(line.kind === 'success' && { 'success/step': line.step }), _step, _timestamp: line.at / 1000 };
        Object.assign(summary, row);
        return JSON.stringify(row);
      });
      const newest = JSON.stringify(summary);
      if (content.length > 0) await post(stream, { files: { 'wandb-history.jsonl': { offset: Number(rows), content }, 'wandb-summary.json': { offset: 0, content: [newest] } } }, signal);
      const end = lines.flatMap(({ line }) => (line.kind === 'end' ? [line] : []))[0];
      const exit = end === undefined ? known['exit'] : end.state === 'finished' ? '0' : '1';
      // What comes after the end opens the run again.
      if (exit !== undefined) await post(stream, { complete: true, exitcode: Number(exit) }, signal);
      return { ...known, rows: String(Number(rows) + content.length), summary: newest, ...(exit !== undefined && { exit }) };
    },
  };
}

/** Ids of runs at Weights & Biases have letters, digits, `_` and `-`. */
function idOf(run: string): string {
  return run.replace(/[^\w-]/g, '-').slice(0, 128);
}

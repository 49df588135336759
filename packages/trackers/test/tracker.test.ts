import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { keptAddresses, parseTracker, Tracker, type TrackerLine, type TrackerLog, type TrackerOptions } from '../src/index.ts';
import { mlflowAnswer, recordingServer, type RecordedRequest, type RecordingServer } from '../src/testing.ts';

const root = mkdtempSync(join(tmpdir(), 'zk0-trackers-'));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});
const servers: RecordingServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(answer: RecordingServer['answer'], port = 0): Promise<RecordingServer> {
  const server = await recordingServer(answer, port);
  servers.push(server);
  return server;
}

const said: string[] = [];
const say = (message: string): void => { said.push(message); };
const log: TrackerLog = { info: say, warn: say, error: say };
let folders = 0;
const folder = (): string => join(root, String(folders++));
const start: TrackerLine = { kind: 'run', run: 'run-1', at: 1000, config: { rounds: 3, 'strategy.name': 'fedavg', 'resolved.mu': 0.01 } };
const round = (step: number, loss = 1 / (step + 1)): TrackerLine => ({ kind: 'metrics', step, at: 2000 + step, values: { 'server/policy_loss': loss, 'client_loss/ann@home': 2 } });
const success = (step: number): TrackerLine => ({ kind: 'success', step, at: 9100, values: { 'success/rate': 0.5 } });
const end: TrackerLine = { kind: 'end', at: 9000, state: 'finished' };

function tracker(text: string, options: Partial<TrackerOptions> = {}): Tracker {
  const environment = options.environment ?? {};
  return new Tracker(parseTracker(text, environment), { directory: folder(), log, environment, firstPauseMs: 5, ...options });
}

const bodies = (requests: readonly RecordedRequest[], path: RegExp): Readonly<Record<string, unknown>>[] => requests.filter((one) => path.test(one.path)).map(({ body }) => body);

describe('MLflow', () => {
  it('gets the run, its settings, every figure and its end', async () => {
    const server = await serve(mlflowAnswer);
    const one = tracker(`mlflow:${server.url}/base/?project=arms`, { environment: { MLFLOW_TRACKING_TOKEN: 'abc' } });
    server.answer = (request) => mlflowAnswer({ ...request, path: request.path.replace('/base', '') });
    for (const line of [start, round(0), round(1), end]) one.add(line);
    expect(await one.close(5000)).toBe(0);
    expect(server.requests.map(({ method, path }) => `${method} ${path.replace('/base/api/2.0/mlflow/', '')}`).slice(0, 4)).toEqual([
      'GET experiments/get-by-name?experiment_name=arms',
      'POST experiments/create',
      'POST runs/search',
      'POST runs/create',
    ]);
    expect(bodies(server.requests, /runs\/create/)).toEqual([{ experiment_id: '7', run_name: 'run-1', start_time: 1000, tags: [{ key: 'zk0.run_id', value: 'run-1' }, { key: 'mlflow.source.name', value: 'zk0' }] }]);
    const batches = bodies(server.requests, /log-batch/);
    expect(batches[0]).toEqual({ run_id: 'r1', params: [{ key: 'rounds', value: '3' }, { key: 'strategy.name', value: 'fedavg' }, { key: 'resolved.mu', value: '0.01' }] });
    expect(batches.slice(1).flatMap(({ metrics }) => metrics)).toEqual([
      { key: 'server/policy_loss', value: 1, timestamp: 2000, step: 0 },
      // Names of MLflow have no @.
      { key: 'client_loss/ann_home', value: 2, timestamp: 2000, step: 0 },
      { key: 'server/policy_loss', value: 0.5, timestamp: 2001, step: 1 },
      { key: 'client_loss/ann_home', value: 2, timestamp: 2001, step: 1 },
    ]);
    expect(bodies(server.requests, /runs\/update/)).toEqual([{ run_id: 'r1', status: 'FINISHED', end_time: 9000 }]);
    expect(new Set(server.requests.map(({ headers }) => headers.authorization))).toEqual(new Set(['Bearer abc']));
  });

  it('goes on with the run that it has when the answer that made it was lost', async () => {
    const server = await serve((request) => (request.path.endsWith('runs/search') ? { body: { runs: [{ info: { run_id: 'old' } }] } } : mlflowAnswer(request)));
    const one = tracker(`mlflow:${server.url}`);
    one.add(start);
    one.add(round(0));
    expect(await one.close(5000)).toBe(0);
    expect(bodies(server.requests, /runs\/create/)).toEqual([]);
    expect(bodies(server.requests, /log-batch/).map(({ run_id: id }) => id)).toEqual(['old', 'old']);
  });
});

describe('trackio', () => {
  it('gets figures under ids that make a second sending harmless, and the settings with the first', async () => {
    const server = await serve(() => ({ body: { data: null } }));
    const one = tracker(`trackio:${server.url}`, { environment: { TRACKIO_WRITE_TOKEN: 'tok' } });
    for (const line of [start, round(0), round(1), end]) one.add(line);
    expect(await one.close(5000)).toBe(0);
    const logs = bodies(server.requests, /^\/api\/bulk_log$/).flatMap(({ logs: sent }) => sent as Readonly<Record<string, unknown>>[]);
    expect(logs.map(({ log_id: id, step, project, run }) => [id, step, project, run])).toEqual([
      ['run-1:1', 0, 'zk0', 'run-1'],
      ['run-1:2', 1, 'zk0', 'run-1'],
    ]);
    expect(logs.map(({ config }) => config)).toEqual([(start as { config: unknown }).config, null]);
    expect(server.requests[0]!.headers['x-trackio-write-token']).toBe('tok');
  });

  it('says which variable it misses when the server asks for its write token', async () => {
    const server = await serve(() => ({ status: 400, body: { error: 'A write_token is required' } }));
    said.length = 0;
    const one = tracker(`trackio:${server.url}`);
    one.add(start);
    one.add(round(0));
    await expect.poll(() => said.join('\n')).toMatch(/does not accept the credentials/);
    expect(await one.close(100)).toBeGreaterThan(0);
  });
});

describe('Weights & Biases', () => {
  it('gets a run by GraphQL and rows with their places in the history', async () => {
    const bucket = { data: { upsertBucket: { bucket: { name: 'run-1', project: { name: 'arms', entity: { name: 'lab' } } } } } };
    const server = await serve(({ path }) => ({ body: path === '/graphql' ? bucket : {} }));
    const environment = { WANDB_API_KEY: 'key', WANDB_BASE_URL: server.url };
    const directory = folder();
    const one = tracker('wandb:lab/arms', { environment, directory });
    one.add(start);
    one.add(round(0));
    expect(await one.close(5000)).toBe(0);
    const two = tracker('wandb:lab/arms', { environment, directory });
    two.add(round(1));
    two.add(end);
    expect(await two.close(5000)).toBe(0);
    expect((bodies(server.requests, /graphql/)[0]!['variables'] as { config: string }).config).toContain('"rounds":{"value":3}');
    const history = bodies(server.requests, /^\/files\/lab\/arms\/run-1\/file_stream$/).flatMap(({ files }) => (files === undefined ? [] : [(files as Record<string, { offset: number; content: string[] }>)['wandb-history.jsonl']!]));
    expect(history.flatMap(({ offset, content }) => content.map((row, index) => [offset + index, (JSON.parse(row) as { _step: number })._step]))).toEqual([[0, 0], [1, 1]]);
    expect(server.requests.at(-1)!.body).toEqual({ complete: true, exitcode: 0 });
    expect(server.requests[0]!.headers.authorization).toBe(`Basic ${Buffer.from('api:key').toString('base64')}`);
  });

  it('gets a success after later steps and after the end, without going back a step, and is ended again', async () => {
    const bucket = { data: { upsertBucket: { bucket: { name: 'run-1', project: { name: 'arms', entity: { name: 'lab' } } } } } };
    const server = await serve(({ path }) => ({ body: path === '/graphql' ? bucket : {} }));
    const environment = { WANDB_API_KEY: 'key', WANDB_BASE_URL: server.url };
    const directory = folder();
    const one = tracker('wandb:lab/arms', { environment, directory });
    for (const line of [start, round(0), round(1), end]) one.add(line);
    expect(await one.close(5000)).toBe(0);
    const two = tracker('wandb:lab/arms', { environment, directory });
    two.add(success(0));
    expect(await two.close(5000)).toBe(0);
    const [{ files }, last] = bodies(server.requests, /file_stream$/).slice(-2) as [{ files: Record<string, { offset: number; content: string[] }> }, unknown];
    const history = files['wandb-history.jsonl']!;
    expect([history.offset, history.content.map((row) => JSON.parse(row) as unknown)]).toEqual([2, [{ 'success/rate': 0.5, 'success/step': 0, _step: 1, _timestamp: 9.1 }]]);
    expect(JSON.parse(files['wandb-summary.json']!.content[0]!)).toMatchObject({ 'server/policy_loss': 0.5, 'success/rate': 0.5 });
    expect(last).toEqual({ complete: true, exitcode: 0 });
  });

  it('needs its key', () => {
    expect(() => parseTracker('wandb:arms', {})).toThrow('needs WANDB_API_KEY');
  });
});

describe('a tracker that is in trouble', () => {
  it('gets everything when it is there at last, and nothing twice, over a restart in between', async () => {
    const first = await serve(mlflowAnswer);
    const { url } = first;
    const port = Number(new URL(url).port);
    await servers.pop()!.close();
    const directory = folder();
    said.length = 0;
    const down = tracker(`mlflow:${url}`, { directory });
    for (const line of [start, round(0), round(1)]) down.add(line);
    expect(await down.close(100)).toBe(3);
    expect(said.filter((line) => /does not answer.*kept and sent later/.test(line))).toHaveLength(1);
    expect(keptAddresses(directory)).toEqual([`mlflow:${url}?project=zk0`]);

    const server = await serve(mlflowAnswer, port);
    const up = tracker(keptAddresses(directory)[0]!, { directory });
    expect([up.lastStep, up.isEmpty, up.hasEnd]).toEqual([1, false, false]);
    await expect.poll(() => up.unsent).toBe(0);
    up.add(round(2));
    up.add(end);
    expect(await up.close(5000)).toBe(0);
    const again = tracker(keptAddresses(directory)[0]!, { directory });
    expect(await again.close(1000)).toBe(0);
    const steps = bodies(server.requests, /log-batch/).flatMap(({ metrics = [] }) => (metrics as { key: string; step: number }[]).filter(({ key }) => key === 'server/policy_loss').map(({ step }) => step));
    expect(steps).toEqual([0, 1, 2]);
  });

  it('gets how often a policy did its task whenever that becomes known, once for each step', async () => {
    const server = await serve(mlflowAnswer);
    const directory = folder();
    const one = tracker(`mlflow:${server.url}`, { directory });
    for (const line of [start, round(0), round(1), success(0), round(2), end]) one.add(line);
    expect([one.hasSuccess(0), one.hasSuccess(2), one.hasEnd, one.lastStep]).toEqual([true, false, true, 2]);
    expect(await one.close(5000)).toBe(0);
    // Another process, after the run has ended.
    const later = tracker(`mlflow:${server.url}`, { directory });
    expect([later.hasSuccess(0), later.hasSuccess(2)]).toEqual([true, false]);
    later.add(success(2));
    expect(later.hasEnd).toBe(true);
    expect(await later.close(5000)).toBe(0);
    const again = tracker(`mlflow:${server.url}`, { directory });
    expect([again.hasSuccess(2), again.hasEnd, again.unsent]).toEqual([true, true, 0]);
    void again.close(0);
    const metrics = bodies(server.requests, /log-batch/).flatMap(({ metrics: sent = [] }) => sent as { key: string; step: number; timestamp: number }[]);
    expect(metrics.filter(({ key }) => key === 'success/rate')).toEqual([0, 2].map((step) => ({ key: 'success/rate', value: 0.5, timestamp: 9100, step })));
    expect(bodies(server.requests, /runs\/update/)).toHaveLength(1);
  });

  it.each([
    ['answers 500', { status: 500 }],
    ['cuts the connection', null],
    ['asks to wait', { status: 429 }],
    ['does not accept the credentials', { status: 401 }],
  ])('is asked again until it takes the figures: it %s', async (_name, trouble) => {
    let failures = 3;
    const server = await serve((request) => (failures-- > 0 ? trouble : mlflowAnswer(request)));
    const one = tracker(`mlflow:${server.url}`);
    one.add(start);
    await expect.poll(() => one.unsent).toBe(0);
    expect(await one.close(100)).toBe(0);
  });

  it('does not hold up the others with a line that it refuses', async () => {
    const server = await serve((request) => (JSON.stringify(request.body).includes('"value":13') ? { status: 400, body: { error_code: 'INVALID_PARAMETER_VALUE' } } : mlflowAnswer(request)));
    said.length = 0;
    const one = tracker(`mlflow:${server.url}`);
    for (const line of [start, round(0), round(1, 13), round(2), end]) one.add(line);
    expect(await one.close(5000)).toBe(0);
    expect(said.filter((line) => line.includes('INVALID_PARAMETER_VALUE'))).toHaveLength(1);
    expect(server.requests.at(-1)!.path).toMatch(/runs\/update/);
  });

  it('does not make what is kept grow without end; the end of the run is kept', () => {
    said.length = 0;
    const one = tracker('mlflow:http://127.0.0.1:9', { maxBytes: 400 });
    one.add(start);
    for (let step = 0; step < 10; step++) one.add(round(step));
    one.add(end);
    expect(one.unsent).toBeLessThan(6);
    expect(one.hasEnd).toBe(true);
    expect(said.filter((line) => line.includes('further figures stay'))).toHaveLength(1);
    void one.close(0);
  });

  it('gets whole lines only when a crash tore the last one; a damaged file is an error', () => {
    const directory = folder();
    const one = tracker('mlflow:http://127.0.0.1:9', { directory });
    one.add(start);
    one.add(round(0));
    void one.close(0);
    const file = join(directory, readdirSync(directory).find((name) => name.endsWith('.jsonl'))!);
    appendFileSync(file, '{"kind":"metrics","st');
    const two = tracker('mlflow:http://127.0.0.1:9', { directory });
    expect([two.unsent, two.lastStep]).toEqual([2, 0]);
    void two.close(0);
    expect(readFileSync(file, 'utf8').endsWith('}\n')).toBe(true);
    writeFileSync(file, '{"kind":"metrics","step":-1}\n');
    expect(() => tracker('mlflow:http://127.0.0.1:9', { directory })).toThrow(expect.objectContaining({ code: 'TRACKER_SPOOL_UNUSABLE' }) as Error);
  });

  it('does not get its credential from an address that sends elsewhere', async () => {
    const other = await serve(() => ({}));
    const server = await recordingServer(() => ({ status: 302 }));
    servers.push(server);
    const one = tracker(`mlflow:${server.url}`, { environment: { MLFLOW_TRACKING_USERNAME: 'ann', MLFLOW_TRACKING_PASSWORD: 'secret' } });
    one.add(start);
    expect(await one.close(200)).toBe(1);
    expect(other.requests).toEqual([]);
  });
});

describe('an address', () => {
  it.each([
    ['mlflow:http://host:5000/', 'mlflow:http://host:5000?project=zk0'],
    ['mlflow:https://host/x?project=a b', 'mlflow:https://host/x?project=a%20b'],
    ['trackio:http://[::1]:7860', 'trackio:http://[::1]:7860?project=zk0'],
  ])('%s is understood', (text, whole) => {
    expect(parseTracker(text, {}).text).toBe(whole);
    expect(parseTracker(whole, {})).toEqual(parseTracker(text, {}));
  });

  it.each(['', 'mlflow', 'mlflow:', 'mlflow:host:5000', 'mlflow:ftp://host', 'comet:http://host', 'mlflow:http://host?experiment=a', 'mlflow:http://host#x', 'trackio:http://host?project=', 'wandb:', 'wandb:a/b/c'])('%j is refused', (text) => {
    expect(() => parseTracker(text, { WANDB_API_KEY: 'k' })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error);
  });

  it.each(['mlflow:http://ann:hunter2@host', 'trackio:http://host?write_token=hunter2'])('that holds a secret is refused without repeating it', (text) => {
    expect(() => parseTracker(text, {})).toThrow(/holds a secret/);
    expect(() => parseTracker(text, {})).not.toThrow(/hunter2/);
  });
});

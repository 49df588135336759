import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { parseTracker, Tracker, type TrackerLine } from '../src/index.ts';

/** `bin` of a Python environment with `mlflow` and `trackio`: `python3 -m venv DIR && DIR/bin/pip install mlflow trackio`. */
const programs = process.env['ZK0_TEST_TRACKERS'] ?? '';
const has = (name: string): boolean => programs !== '' && existsSync(join(programs, name));

const root = mkdtempSync(join(tmpdir(), 'zk0-live-trackers-'));
const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function start(program: string, args: readonly string[], environment: Readonly<Record<string, string>>): void {
  started.push(spawn(join(programs, program), args, { cwd: root, stdio: 'ignore', detached: true, env: { ...process.env, HOME: root, ...environment } }));
}

async function until(url: string): Promise<void> {
  for (;;) {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => null);
    if (response?.ok === true) return;
    await sleep(500);
  }
}

const log = { info: () => undefined, warn: () => undefined, error: (message: string) => { throw new Error(message); } };
const lines: TrackerLine[] = [
  { kind: 'run', run: 'run-1', at: Date.UTC(2026, 0, 1), config: { rounds: 3, 'strategy.name': 'fedavg', 'resolved.learningRate': 0.001, keepBest: true } },
  ...[0, 1, 2, 3].map((step): TrackerLine => ({ kind: 'metrics', step, at: Date.UTC(2026, 0, 1, 0, step), values: { 'server/policy_loss': 1 / (step + 1), [`server_policy_loss/demo:cube-to-bowl?episodes=5&seed=7`]: 2 } })),
  { kind: 'end', at: Date.UTC(2026, 0, 1, 1), state: 'finished' },
];

/** Adds everything while the tracker is not there, then starts it, and opens the folder once more. */
async function sendLate(address: string, environment: Readonly<Record<string, string>>, begin: () => Promise<void>): Promise<void> {
  const options = { directory: join(root, address.replace(/\W+/g, '-')), log, environment, firstPauseMs: 200 };
  const early = new Tracker(parseTracker(address, environment), options);
  for (const line of lines.slice(0, -1)) early.add(line);
  expect(await early.close(500)).toBe(lines.length - 1);
  await begin();
  const late = new Tracker(parseTracker(address, environment), options);
  late.add(lines.at(-1)!);
  expect(await late.close(60_000)).toBe(0);
}

describe('the real MLflow server', { timeout: 280_000 }, () => {
  it.skipIf(!has('mlflow'))('has every setting and figure of a run once, though it came up late (set ZK0_TEST_TRACKERS to run this)', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    await sendLate(`mlflow:${url}?project=arms`, {}, async () => {
      start('mlflow', ['server', '--host', '127.0.0.1', '--port', String(port), '--workers', '1', '--backend-store-uri', `sqlite:///${root}/mlflow.db`], { MLFLOW_DISABLE_TELEMETRY: 'true' });
      await until(`${url}/health`);
    });
    const api = async (path: string, body?: unknown): Promise<unknown> => {
      const response = await fetch(`${url}/api/2.0/mlflow/${path}`, body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      return response.json();
    };
    const { experiment } = (await api('experiments/get-by-name?experiment_name=arms')) as { experiment: { experiment_id: string } };
    const { runs } = (await api('runs/search', { experiment_ids: [experiment.experiment_id] })) as {
      runs: { info: { run_id: string; status: string; run_name: string; start_time: number; end_time: number }; data: { params: { key: string; value: string }[]; metrics: { key: string; value: number; step: number }[] } }[];
    };
    expect(runs).toHaveLength(1);
    const [{ info, data }] = runs as [(typeof runs)[number]];
    expect(info).toMatchObject({ status: 'FINISHED', run_name: 'run-1', start_time: Date.UTC(2026, 0, 1), end_time: Date.UTC(2026, 0, 1, 1) });
    expect(Object.fromEntries(data.params.map(({ key, value }) => [key, value]))).toEqual({ rounds: '3', 'strategy.name': 'fedavg', 'resolved.learningRate': '0.001', keepBest: 'true' });
    const { metrics } = (await api(`metrics/get-history?run_id=${info.run_id}&metric_key=server/policy_loss`)) as { metrics: { step: number; value: number }[] };
    expect(metrics.map(({ step, value }) => [step, value])).toEqual([[0, 1], [1, 0.5], [2, 1 / 3], [3, 0.25]]);
  });
});

describe('the real trackio server', { timeout: 280_000 }, () => {
  it.skipIf(!has('trackio'))('has every figure of a run once, though it came up late (set ZK0_TEST_TRACKERS to run this)', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    await sendLate(`trackio:${url}?project=arms`, { TRACKIO_WRITE_TOKEN: 'write-me' }, async () => {
      start('python', ['-c', `import trackio; trackio.show(open_browser=False, share=False, server_port=${port}, block_thread=True)`], { TRACKIO_WRITE_TOKEN: 'write-me', TRACKIO_DIR: join(root, 'trackio') });
      await until(`${url}/version`);
    });
    const call = async (name: string, body: unknown): Promise<unknown> => {
      const response = await fetch(`${url}/api/${name}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      return ((await response.json()) as { data: unknown }).data;
    };
    const logs = (await call('get_logs', { project: 'arms', run: 'run-1' })) as { step: number; 'server/policy_loss': number }[];
    expect(logs.map((row) => [row.step, row['server/policy_loss']])).toEqual([[0, 1], [1, 0.5], [2, 1 / 3], [3, 0.25]]);
    expect(JSON.stringify(await call('get_run_configs', { project: 'arms' }))).toContain('"strategy.name":"fedavg"');
  });
});

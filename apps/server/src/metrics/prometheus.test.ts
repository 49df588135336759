import { readFileSync } from 'node:fs';
import type { ClientStatus, FederationStatus } from '@zk0/federation';
import { describe, expect, it } from 'vitest';
import { prometheusText } from './prometheus.ts';

const figures = { version: '0.1.0', cpuSeconds: 1.5, residentBytes: 1000, startedAt: 1_700_000_000 };
const client = (clientId: string, more: Partial<ClientStatus> & { readonly loss?: number } = {}): ClientStatus => ({
  clientId, name: clientId, agent: 'test', label: 'set', numExamples: 3, bytesUp: 5, bytesDown: 7, state: 'idle', lastSeen: '2026-01-31T12:00:00.000Z', ...more,
});
const run = (runId: string, phase: FederationStatus['runs'][number]['phase']): FederationStatus['runs'][number] => ({
  runId, phase, round: 3, rounds: 20, roundPhase: 'training', asked: 2, heard: 1, policyLoss: 0.25, parameters: null, ending: null, paused: null, isResting: false,
});
const status: FederationStatus = {
  clients: [client('a', { state: 'working', loss: 0.5 }), client('b', { misfit: 'other joints' })],
  runs: [run('r1', 'finished'), run('r2', 'running')],
  current: 'r2',
  waiting: null,
};

describe('metrics for Prometheus', () => {
  it('say who is there, how far the run is, and what the process uses', () => {
    const lines = prometheusText(status, figures).split('\n');
    expect(lines).toEqual(expect.arrayContaining([
      'zk0_info{version="0.1.0"} 1',
      'zk0_clients{state="working"} 1',
      'zk0_clients{state="idle"} 1',
      'zk0_clients_misfit 1',
      'zk0_client_last_seen_seconds{client="a"} 1769860800',
      'zk0_client_loss{client="a"} 0.5',
      'zk0_client_transfer_bytes_total{client="b",direction="down"} 7',
      'zk0_runs{phase="running"} 1',
      'zk0_runs{phase="failed"} 0',
      'zk0_run_round{run="r2"} 3',
      'zk0_run_rounds{run="r2"} 20',
      'zk0_run_held_out_loss{run="r2"} 0.25',
      'process_cpu_seconds_total 1.5',
    ]));
  });

  it('follow the text format: each family once, with its type, and samples of it alone; the last line ends', () => {
    const text = prometheusText(status, figures);
    expect(text.endsWith('\n')).toBe(true);
    let family = '';
    const seen = new Set<string>();
    for (const line of text.trimEnd().split('\n')) {
      const [, named = ''] = /^# HELP (\w+) \S/.exec(line) ?? [];
      if (named !== '') {
        expect(seen.has(named)).toBe(false);
        seen.add(named);
        family = named;
      } else if (line.startsWith('#')) expect(line).toMatch(new RegExp(`^# TYPE ${family} (?:gauge|counter)$`));
      else expect(line).toMatch(new RegExp(`^${family}(?:\\{(?:\\w+="(?:[^"\\\\]|\\\\.)*",?)+\\})? (?:-?[\\d.e+-]+|NaN)$`));
    }
  });

  it('escape what a name could break, and say nothing of a run where none is driven', () => {
    const text = prometheusText({ ...status, current: null, clients: [client('x"\\y\nz')] }, figures);
    expect(text).toContain('zk0_client_last_seen_seconds{client="x\\"\\\\y\\nz"} ');
    expect(text).not.toMatch(/^zk0_run_round\{/m);
  });

  it('are, for hostile names, byte for byte what Python’s prometheus_client 0.26.0 was seen to read', () => {
    // After a change of the file: read it with prometheus_client.parser.text_string_to_metric_families, whose labels have to be these names.
    const hostile = ['plain', 'x"\\y\nz', '{a="b"} 1', '# HELP zk0_clients', 'ünï 机器人', '\\n'];
    const text = prometheusText({ ...status, clients: hostile.map((name, index) => client(name, { loss: index / 3, state: index % 2 === 0 ? 'idle' : 'working' })) }, figures);
    return expect(text).toMatchFileSnapshot('./prometheus.golden.txt');
  });

  it('are all that the Grafana dashboard asks for, and each of its panels asks for something', () => {
    const board = JSON.parse(readFileSync(new URL('../../../../deploy/grafana/zk0-server.json', import.meta.url), 'utf8')) as {
      panels: { id: number; title: string; datasource: { uid: string }; gridPos: { x: number; y: number; w: number; h: number }; targets: { expr: string; refId: string }[] }[];
      templating: { list: { name: string }[] };
    };
    const families = new Set([...prometheusText(status, figures).matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name!));
    expect(new Set(board.panels.map(({ id }) => id)).size).toBe(board.panels.length);
    for (const { title, targets, datasource, gridPos: { x, y, w, h } } of board.panels) {
      expect(targets.length, title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
      expect(board.templating.list.map(({ name }) => `\${${name}}`), title).toContain(datasource.uid);
      expect(x + w, title).toBeLessThanOrEqual(24);
      const over = board.panels.filter(({ gridPos: other }) => other.x < x + w && x < other.x + other.w && other.y < y + h && y < other.y + other.h);
      expect(over, title).toHaveLength(1);
      for (const { expr } of targets) for (const [name] of expr.matchAll(/\b(?:zk0|process)_\w+/g)) expect(families, `${title}: ${expr}`).toContain(name);
    }
  });
});

import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OutputsError } from './errors.ts';
import { RunPaths } from './paths.ts';
import { readSuccesses } from './metrics-log.ts';
import { createRunOutputs } from './run-outputs.ts';
import { successByRound } from './charts/success-chart.ts';
import { addSuccess, NOT_TRIED } from './success-card.ts';
import { exampleInfo, exampleRounds, exampleSuccess } from './testing.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'zk0-outputs-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function read(name: string): unknown {
  return JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
}

async function record(rounds: ReturnType<typeof exampleRounds>): Promise<void> {
  const outputs = await createRunOutputs(folder, exampleInfo);
  for (const round of rounds) await outputs.recordRound(round);
  await outputs.close();
}

function files(): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replace(/tfevents\..*/, 'tfevents'))
    .sort();
}

describe('createRunOutputs', () => {
  it('leaves every file of a run, and no other', async () => {
    await record(exampleRounds(2, 2, 1));
    expect(files()).toEqual([
      'clients/client_0/round_1.json',
      'clients/client_0/round_2.json',
      'clients/client_1/round_1.json',
      'config.json',
      'metrics.jsonl',
      'server/eval_policy_loss_chart.png',
      'server/eval_policy_loss_history.json',
      'server/federated_metrics.json',
      'server/federated_metrics.png',
      'server/round_0_server_eval.json',
      'server/round_1_server_eval.json',
      'server/round_2_server_eval.json',
      'tensorboard/events.out.tfevents',
    ]);
  });

  it('writes the numbers under their documented names', async () => {
    await record(exampleRounds(2, 2, 1));
    expect(read('server/eval_policy_loss_history.json')).toEqual({
      0: { server_policy_loss: 1, action_dim: 6, clients: {} },
      1: { server_policy_loss: 0.5, action_dim: 6, clients: { client_0: 0.5, client_1: 0.6 } },
      2: { server_policy_loss: 0.25, action_dim: 6, clients: { client_0: 0.25 } },
    });
    expect(read('server/round_1_server_eval.json')).toMatchObject({
      round: 1,
      policy_loss: 0.5,
      action_dim: 6,
      successful_batches: 4,
      total_batches: 4,
      total_samples: 64,
      datasets: [{ name: 'held', policy_loss: 0.5 }],
    });
    expect(read('clients/client_1/round_1.json')).toMatchObject({
      round: 1,
      client_id: 'client_1',
      dataset_name: 'kitchen 1',
      policy_loss: 0.6,
      num_examples: 101,
      received_at: '2026-01-31T12:00:15.001Z',
      param_hash: '1'.repeat(64),
    });
    expect(read('server/federated_metrics.json')).toMatchObject({
      best: { round: 2, server_policy_loss: 0.25 },
      rounds: [
        { round: 0, num_clients: 0, server_policy_loss: 1, started_at: '2026-01-31T12:00:00.000Z', round_s: 8, evaluate_s: 8 },
        {
          round: 1,
          num_clients: 2,
          started_at: '2026-01-31T12:00:10.000Z',
          ended_at: '2026-01-31T12:00:18.000Z',
          round_s: 8,
          collect_s: 6,
          aggregate_s: 0.5,
          evaluate_s: 1.5,
          avg_client_loss: 0.55,
          std_client_loss: expect.closeTo(0.05, 6) as number,
          avg_client_proximal_loss: 0.01,
          avg_client_grad_norm: 2,
          param_update_norm: 1.5,
          lr: 1e-4,
          missing: [],
        },
        { round: 2, num_clients: 1, std_client_loss: 0, missing: [{ client_id: 'client_1', reason: 'deadline' }] },
      ],
    });
    expect(read('config.json')).toMatchObject({
      run_id: 'run-1',
      resolved: { localSteps: 20, learningRate: 1e-4, strategy: { proximalMu: 0.01 } },
      compute: { server: { device: 'cpu', threads: 1 } },
      simulation: { clients: [{ dataset: 'demo:cube-to-bowl' }] },
    });
    expect(read('config.json')).toMatchObject({ config: { seed: 42 }, datasets: [{ role: 'train' }, { role: 'held-out' }] });
  });

  it('means the policy’s loss by a client’s loss, in every file', async () => {
    const [zero, one] = exampleRounds(1, 1);
    await record([zero!, { ...one!, clients: [{ ...one!.clients[0]!, metrics: { loss: 9, policy_loss: 2, fedprox_loss: 7 } }] }]);
    expect(read('server/federated_metrics.json')).toMatchObject({ rounds: [{}, { avg_client_loss: 2, avg_client_proximal_loss: 7 }] });
    expect(read('server/eval_policy_loss_history.json')).toMatchObject({ 1: { clients: { client_0: 2 } } });
    expect(read('clients/client_0/round_1.json')).toMatchObject({ loss: 9, policy_loss: 2 });
  });

  it('goes on where an earlier process ended, and ignores rounds that it has', async () => {
    const rounds = exampleRounds(2, 3, 1);
    await record(rounds.slice(0, 2));
    await record(rounds);
    const inParts = ['metrics.jsonl', 'server/federated_metrics.json', 'server/eval_policy_loss_history.json'].map((name) =>
      readFileSync(path.join(folder, name), 'utf8'),
    );
    rmSync(folder, { recursive: true });
    await record(rounds);
    const atOnce = ['metrics.jsonl', 'server/federated_metrics.json', 'server/eval_policy_loss_history.json'].map((name) =>
      readFileSync(path.join(folder, name), 'utf8'),
    );
    expect(inParts).toEqual(atOnce);
  });

  it('cuts off a round that a crash tore, at any byte, and writes what is missing or empty of the others', async () => {
    const rounds = exampleRounds(2, 2);
    await record(rounds);
    const log = path.join(folder, 'metrics.jsonl');
    const whole = readFileSync(log, 'utf8');
    const secondRound = whole.indexOf('\n', whole.indexOf('"type":"round","round":1')) + 1;
    for (const cut of [secondRound + 1, secondRound + 200, whole.length - 20, whole.length - 1]) {
      writeFileSync(log, whole.slice(0, cut));
      rmSync(path.join(folder, 'server', 'federated_metrics.json'));
      rmSync(path.join(folder, 'server', 'round_0_server_eval.json'));
      writeFileSync(path.join(folder, 'clients', 'client_0', 'round_1.json'), '');
      const outputs = await createRunOutputs(folder, exampleInfo);
      expect(outputs.rounds.map(({ round }) => round)).toEqual([0, 1]);
      expect(read('server/round_0_server_eval.json')).toMatchObject({ round: 0 });
      expect(read('clients/client_0/round_1.json')).toMatchObject({ round: 1 });
      await outputs.recordRound(rounds[2]!);
      await outputs.close();
      expect(read('server/federated_metrics.json')).toMatchObject({ rounds: [{ round: 0 }, { round: 1 }, { round: 2 }] });
      expect(readFileSync(log, 'utf8')).toBe(whole);
    }
  });

  it('refuses to go on over a log that was damaged in the middle', async () => {
    await record(exampleRounds(2, 2));
    const log = path.join(folder, 'metrics.jsonl');
    writeFileSync(log, readFileSync(log, 'utf8').replace('"client_id"', '"cli'));
    await expect(createRunOutputs(folder, exampleInfo)).rejects.toThrow(OutputsError);
    await expect(createRunOutputs(folder, exampleInfo)).rejects.toThrow(/metrics\.jsonl:3 is not a line of metrics/);
  });

  it('writes a diverged loss as null and reads it back', async () => {
    const [zero, one] = exampleRounds(1, 1);
    const diverged = { ...one!, clients: [{ ...one!.clients[0]!, metrics: { loss: NaN } }], server: { ...one!.server!, policyLoss: Infinity } };
    await record([zero!, diverged]);
    const outputs = await createRunOutputs(folder, exampleInfo);
    expect(outputs.rounds[1]?.clients[0]?.metrics['loss']).toBeNaN();
    await outputs.close();
    expect(read('server/eval_policy_loss_history.json')).toMatchObject({ 1: { server_policy_loss: null, clients: { client_0: null } } });
  });

  it('does not take metrics of a client for the keys of the file', async () => {
    const [zero, one] = exampleRounds(1, 1);
    const sly = { ...one!, clients: [{ ...one!.clients[0]!, metrics: { loss: 1, round: 99, num_examples: 5, type: 3, param_hash: 4, 'a b': 1, ['__proto__']: 2 } }] };
    await record([zero!, sly]);
    expect(read('clients/client_0/round_1.json')).toMatchObject({ round: 1, num_examples: 100 });
    const outputs = await createRunOutputs(folder, exampleInfo);
    expect(outputs.rounds[1]?.clients[0]).toMatchObject({ numExamples: 100, metrics: { loss: 1 } });
    expect(Object.keys(outputs.rounds[1]?.clients[0]?.metrics ?? {})).toEqual(['loss']);
    await outputs.close();
  });

  it('ignores an empty log line at the end no more than any other torn line', async () => {
    await record(exampleRounds(1, 1));
    appendFileSync(path.join(folder, 'metrics.jsonl'), '\n');
    const outputs = await createRunOutputs(folder, exampleInfo);
    expect(outputs.rounds).toHaveLength(2);
    await outputs.close();
  });
});

describe('success', () => {
  it('is recorded some time after its round, once, and read back', async () => {
    const rounds = exampleRounds(1, 3);
    const first = await createRunOutputs(folder, exampleInfo);
    for (const round of rounds.slice(0, 3)) await first.recordRound(round);
    await first.recordSuccess(exampleSuccess(2, 3));
    await first.close();
    const log = readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8');
    const second = await createRunOutputs(folder, exampleInfo);
    expect(readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8')).toBe(log);
    expect(second.successes).toEqual([exampleSuccess(2, 3)]);
    await second.recordSuccess(exampleSuccess(2, 9));
    await second.recordRound(rounds[3]!);
    await second.recordSuccess(exampleSuccess(1, 0));
    await second.close();
    expect(read('server/success_history.json')).toMatchObject([{ round: 1, rate: 0, places: [{ place: 'left' }, { place: 'right' }] }, { round: 2, rate: 0.3, trials: 10 }]);
    expect(files()).toContain('server/success_chart.png');
    const third = await createRunOutputs(folder, exampleInfo);
    expect(third.rounds.map(({ round }) => round)).toEqual([0, 1, 2, 3]);
    expect(third.successes.map(({ round, successes }) => [round, successes])).toEqual([[1, 0], [2, 3]]);
    await third.close();
  });

  it('goes into the card of its checkpoint, in place of what stood there', async () => {
    const card = path.join(folder, 'README.md');
    writeFileSync(card, `# A policy\n\n${NOT_TRIED}\n\n## Rounds\n`);
    await addSuccess(folder, exampleSuccess(2, 6));
    await addSuccess(folder, exampleSuccess(2, 7));
    const text = readFileSync(card, 'utf8');
    expect(text).toMatch(/^# A policy\n\n<!-- success -->\nTried in a simulated world/);
    expect(text).toContain('70 % (40 – 89)');
    expect(text).toContain('| cube-to-bowl left | 5 of 5 |');
    expect(text).not.toContain('60 %');
    expect(text).toMatch(/<!-- end of success -->\n\n## Rounds\n$/);
    expect(read('success.json')).toMatchObject({ successes: 7 });
    expect(text).not.toContain('score');
    await addSuccess(path.join(folder, 'moved away'), exampleSuccess(2, 6));
  });

  it('keeps what a world says of its numbers, and the score of a task that has parts', async () => {
    const { places, ...whole } = exampleSuccess(2, 6);
    const record = { ...whole, notes: ['This is a re-creation.'], places: places.map((place, index) => ({ ...place, meanScore: index === 0 ? 1 : 0.5 })) };
    const outputs = await createRunOutputs(folder, exampleInfo);
    await outputs.recordSuccess(record);
    await outputs.close();
    const again = await createRunOutputs(folder, exampleInfo);
    expect(again.successes).toEqual([record]);
    await again.close();
    expect(readSuccesses(path.join(folder, 'metrics.jsonl'))).toEqual([record]);
    expect(readSuccesses(path.join(folder, 'nowhere'))).toEqual([]);
    writeFileSync(path.join(folder, 'README.md'), NOT_TRIED);
    await addSuccess(folder, record);
    const text = readFileSync(path.join(folder, 'README.md'), 'utf8');
    expect(text).toContain('This is a re-creation.');
    expect(text).toMatch(/left \| 5 of 5 \| [^|]*\| 1\.00 \|[^]*right \| 1 of 5 \| [^|]*\| 0\.50 \|[^]*all trials \| 6 of 10 \| [^|]*\| 0\.75 \|/);
  });

  it('is drawn with its interval, together and by place', () => {
    const { series, title } = successByRound([exampleSuccess(10, 2), exampleSuccess(20, 8)]) as { series: { name: string; data: number[][] }[]; title: { subtext: string } };
    expect(title.subtext).toBe('Round 20: 80 % (49 – 94) of 10 trials, with the 95 % interval');
    expect(series.map(({ name }) => name)).toEqual(['below the interval', 'interval', 'all trials', 'cube-to-bowl left', 'cube-to-bowl right']);
    expect(series[2]!.data).toEqual([[10, 20], [20, 80]]);
    expect(series[4]!.data).toEqual([[10, 0], [20, 60]]);
    const [low, width] = [series[0]!.data[1]![1]!, series[1]!.data[1]![1]!];
    expect([low, low + width].map(Math.round)).toEqual([49, 94]);
  });
});

describe('RunPaths', () => {
  it('keeps every client inside its own folder, whatever its id', () => {
    const paths = new RunPaths('/out');
    const ids = ['0', 'client_0', '../../etc', 'a/b', 'A', 'a', '', 'x'.repeat(500), '\u0000', 'a\\b'];
    const folders = ids.map((id) => paths.client(id));
    expect(new Set(folders.map((name) => name.toLowerCase())).size).toBe(ids.length);
    for (const name of folders) expect(path.dirname(path.resolve(name))).toBe('/out/clients');
    expect(folders.slice(0, 2)).toEqual(['/out/clients/client_0', '/out/clients/client_0~2']);
    expect(paths.client('A')).toBe(folders[4]);
  });
});

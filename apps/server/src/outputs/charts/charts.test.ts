import { label, tick, type ChartOption } from '@zk0/charts';
import { describe, expect, it } from 'vitest';
import { exampleRounds } from '../testing.ts';
import type { RoundRecord } from '../types.ts';
import { lossChart, renderLossChart } from './loss-chart.ts';
import { metricsChart, renderMetricsChart } from './metrics-chart.ts';
import { clientIds, missingNote, perRound, quantile, ranges, roundAxis } from './series.ts';
import { clientLabel } from './text.ts';

function seriesOf(option: ChartOption): { name?: string; data: (number | null)[] }[] {
  return option.series as { name?: string; data: (number | null)[] }[];
}

/** Width and height from the PNG header. */
function pngSize(png: Uint8Array): [number, number] {
  const view = Buffer.from(png);
  expect(view.subarray(1, 4).toString()).toBe('PNG');
  return [view.readUInt32BE(16), view.readUInt32BE(20)];
}

describe('lossChart', () => {
  it('draws the held-out loss and one line per client, with a gap where a client missed a round', () => {
    const series = seriesOf(lossChart(exampleRounds(2, 3, 1)));
    expect(series.map(({ name, data }) => [name, data])).toEqual([
      ['global model, held-out', [1, 0.5, 0.25, 0.125]],
      ['client_0: kitchen 0', [null, 0.5, 0.25, 0.125]],
      ['client_1: kitchen 1', [null, 0.6, null, 0.225]],
    ]);
  });

  it('draws many clients as a median and a band', () => {
    const series = seriesOf(lossChart(exampleRounds(200, 2)));
    expect(series.map(({ name }) => name)).toEqual(['global model, held-out', 'below 10 %', '10–90 % of clients', 'median of 200 clients']);
    expect(series[3]!.data[1]).toBeCloseTo(0.5 + 99.5 * 0.1);
    expect(series[1]!.data[1]! + series[2]!.data[1]!).toBeCloseTo(0.5 + 0.9 * 199 * 0.1);
  });

  it.each([1, 2, 8, 9, 200])('renders %i clients', async (clients) => {
    expect(pngSize(await renderLossChart(exampleRounds(clients, 3, 0)))).toEqual([2000, 1120]);
  });

  it('renders before anything was evaluated, and with nothing at all', async () => {
    const bare: RoundRecord = { round: 0, clients: [], server: null, aggregated: {} };
    await expect(renderLossChart([bare])).resolves.toBeInstanceOf(Uint8Array);
    await expect(renderLossChart([])).resolves.toBeInstanceOf(Uint8Array);
  });

  it('is the same picture twice', async () => {
    const rounds = exampleRounds(3, 3);
    expect(await renderLossChart(rounds)).toEqual(await renderLossChart(rounds));
  });
});

describe('metricsChart', () => {
  it('has six panels whose axes start at round 1', () => {
    const option = metricsChart(exampleRounds(2, 3, 1));
    expect(option.grid).toHaveLength(6);
    expect((option.xAxis as { data: number[] }[])[0]!.data).toEqual([1, 2, 3]);
    const series = seriesOf(option);
    expect(series.at(-2)!.data).toEqual([2, 1, 2]);
    expect(series.at(-1)!.data).toEqual([0, 1, 0]);
  });

  it('renders, also before the first round', async () => {
    expect(pngSize(await renderMetricsChart(exampleRounds(200, 3)))).toEqual([2400, 1360]);
    await expect(renderMetricsChart(exampleRounds(2, 0))).resolves.toBeInstanceOf(Uint8Array);
  });
});

describe('series', () => {
  const [zero, one, two, three] = exampleRounds(3, 3) as [RoundRecord, RoundRecord, RoundRecord, RoundRecord];

  it('keeps a place for rounds that were not recorded', () => {
    const rounds = [zero, one, three];
    expect(roundAxis(rounds)).toEqual([0, 1, 2, 3]);
    expect(perRound(roundAxis(rounds), rounds, ({ server }) => server?.policyLoss)).toEqual([1, 0.5, null, 0.125]);
    expect(perRound([1], rounds, () => NaN)).toEqual([null]);
  });

  it('sorts clients as people do', () => {
    const ids = ['client_10', 'client_2', 'b'];
    expect(clientIds([{ ...two, missing: ids.map((clientId) => ({ clientId, reason: '' })), clients: [] }])).toEqual(['b', 'client_2', 'client_10']);
  });

  it('interpolates quantiles', () => {
    expect([0, 0.25, 0.5, 1].map((q) => quantile([1, 2, 4], q))).toEqual([1, 1.5, 2, 4]);
  });

  it('notes who missed which rounds, in bounded space', () => {
    expect(ranges([1, 3, 4, 5, 9])).toBe('1, 3–5, 9');
    expect(missingNote([zero, one])).toBe('');
    const missing = (round: number, ids: number[]): RoundRecord => ({
      round,
      clients: [],
      server: null,
      aggregated: {},
      missing: ids.map((id) => ({ clientId: `client_${id}`, reason: 'late' })),
    });
    expect(missingNote([missing(1, [0]), missing(2, [0, 1])])).toBe('Without an update: client_0 in rounds 1–2; client_1 in round 2');
    const many = Array.from({ length: 50 }, (_, round) => missing(round * 2, Array.from({ length: 200 }, (_unused, id) => id)));
    expect(missingNote(many)).toBe('Without an update: client_0 in 50 rounds; client_1 in 50 rounds; client_2 in 50 rounds; and 197 more');
  });
});

describe('text', () => {
  it('bounds and cleans labels, and shortens numbers', () => {
    expect(label('a\u202eb\n' + 'x'.repeat(100))).toBe(`a b ${'x'.repeat(29)}…`);
    expect(['0', 'client_0', 'lab'].map(clientLabel)).toEqual(['client 0', 'client_0', 'client lab']);
    expect([0.1 + 0.2, 1e-4, 12345.6].map(tick)).toEqual(['0.3', '0.0001', '12350']);
  });
});

import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { createProgress, EXIT_CODE, loadConfig, table } from '@zk0/cli';
import { InvalidArgumentError, Zk0Error, type JsonObject } from '@zk0/core';
import { writeFileAtomic } from '@zk0/storage';
import { runFlags } from '../config.ts';
import { makeWritable } from '../state-files.ts';
import { runVirtual } from '../virtual/run-virtual.ts';
import { MAX_VIRTUAL_CLIENTS, virtualSchema, virtualSettings, type VirtualSettings } from '../virtual/settings.ts';
import { summarize, type VirtualSummary } from '../virtual/summarize.ts';
import { renderVirtualChart } from '../virtual/virtual-chart.ts';

/** What `simulate --virtual` takes. */
export interface SimulateVirtualOptions extends Readonly<Record<string, unknown>> {
  readonly clients: number;
  readonly out: string;
  readonly config?: string;
  readonly compare: readonly string[];
  readonly set: readonly string[];
}

/** Options of other simulations, which say nothing of virtual clients. */
const FOREIGN = ['dataset', 'split', 'track', 'threads'] as const;

/** `zk0-server simulate --virtual`: the real engine, virtual clients and virtual time; one simulation for each file of settings. */
export async function simulateVirtual(options: SimulateVirtualOptions, signal: AbortSignal): Promise<number | undefined> {
  const { clients, out } = options;
  if (!Number.isInteger(clients) || clients < 1 || clients > MAX_VIRTUAL_CLIENTS) {
    throw new InvalidArgumentError(`--clients must be a whole number from 1 to ${MAX_VIRTUAL_CLIENTS}`, { hint: 'For example --clients 2000.' });
  }
  for (const name of FOREIGN) {
    const value = options[name] as readonly string[] | string | number | undefined;
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    throw new InvalidArgumentError(`--${name} has no effect on virtual clients`, { hint: `Leave --${name} out, or simulate real clients, without --virtual.` });
  }
  const report = join(out, 'virtual.json');
  if (existsSync(report)) throw new Zk0Error('OUTPUT_IN_USE', `${out} holds a simulation already`, { hint: 'Choose another folder with --out.' });
  const simulations = await readSettings(options);
  makeWritable(out);
  const scratch = await mkdtemp(join(tmpdir(), 'zk0-virtual-'));
  const progress = createProgress(process.stderr);
  const summaries: VirtualSummary[] = [];
  try {
    for (const [index, { name, config, fleet }] of simulations.entries()) {
      const outcome = await runVirtual({
        clients, fleet, config, signal,
        scratchDirectory: join(scratch, String(index)),
        onRound: (round, seconds, loss) => {
          progress.update({ label: `${name}: ${duration(seconds)} of virtual time, loss ${loss.toPrecision(3)}`, done: round, total: config.rounds });
        },
      });
      summaries.push(summarize(name, outcome, JSON.parse(JSON.stringify({ clients, ...config, virtual: fleet })) as JsonObject));
      await writeFileAtomic(report, `${JSON.stringify(summaries, null, 1)}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    progress.finish();
    process.stdout.write(summaries.length === 0 ? 'stopped; nothing has been written\n' : `stopped; what was simulated is in ${report}\n`);
    return EXIT_CODE.interrupted;
  } finally {
    progress.finish();
    await rm(scratch, { recursive: true, force: true });
  }
  await writeFileAtomic(join(out, 'virtual.png'), await renderVirtualChart(summaries));
  process.stdout.write(`${comparison(summaries)}\n\nfigures  ${report}\nchart    ${join(out, 'virtual.png')}\n`);
  const failed = summaries.find(({ phase }) => phase !== 'finished');
  if (failed !== undefined) throw new Zk0Error('RUN_ENDED', `${failed.name}: the run ${failed.phase}: ${failed.ending ?? 'no reason was given'}`, { hint: `Read ${report}.` });
  return undefined;
}

/** The simulations that are asked for: the one of `--config`, and one for each `--compare`. Flags hold for all. */
async function readSettings(options: SimulateVirtualOptions): Promise<(VirtualSettings & { readonly name: string })[]> {
  const files = [options.config, ...options.compare];
  const simulations = [];
  for (const file of files) {
    const settings = virtualSettings(options.clients, await loadConfig(virtualSchema, { file, flags: runFlags(options), set: options.set }));
    const name = file === undefined ? settings.config.strategy.name : basename(file, extname(file));
    simulations.push({ ...settings, name });
  }
  const names = new Set(simulations.map(({ name }) => name));
  if (names.size < simulations.length) throw new InvalidArgumentError('two of the settings files have the same name, which is what their results are called', { hint: 'Rename one.' });
  return simulations;
}

function comparison(summaries: readonly VirtualSummary[]): string {
  const columns = ['rounds', 'time', 'to 10 %', 'to 1 %', 'TB', 'waiting', 'wasted', 'fairness', 'never'].map((header) => ({ header, align: 'right' as const }));
  const rows = summaries.map(({ name, rounds, seconds, secondsTo, bytes, time, fairness }) => [
    name, String(rounds), duration(seconds), duration(secondsTo['0.1']), duration(secondsTo['0.01']), ((bytes.down + bytes.up) / 1e12).toFixed(2),
    percent(time.waiting), percent(time.wasted), fairness.jainUpdates.toFixed(2), String(fairness.never),
  ]);
  return table([{ header: 'simulated' }, ...columns], rows);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return 'never';
  return seconds < 5400 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

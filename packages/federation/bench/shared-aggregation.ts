import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random, type TensorSpec } from '@zk0/core';
import { createSafetensors, openSafetensors } from '@zk0/storage';
import { computePart, createStrategy, type AggregationInput, type PassPart, type PassSharing, type SharedPass } from '@zk0/strategy';
import { openPart, writePart } from '../src/parts/part-file.ts';

// What an aggregation costs one process, and what its parts cost processes that share it: processor time, on one thread each, so that it
// says the same on a busy machine. `npx nx bench:shards federation -- 25 12` (million parameters, clients).
const [millions = 25, clients = 12] = process.argv.slice(2).map(Number);
const folder = mkdtempSync(join(tmpdir(), 'zk0-shards-'));
const specs: TensorSpec[] = Array.from({ length: millions }, (_, n) => ({ name: `t${String(n).padStart(3, '0')}`, dtype: 'F32', shape: [1000, 1000] }));

async function model(name: string): Promise<string> {
  const path = join(folder, name);
  const writer = await createSafetensors(path, specs);
  const data = new Random(name).fillNormal(new Float32Array(1_000_000));
  for (const [index, spec] of specs.entries()) {
    data[index] = index;
    await writer.writeBytes(spec.name, 0, new Uint8Array(data.buffer));
  }
  await writer.commit();
  return path;
}

/** Seconds of processor time that something takes. */
async function cost<T>(work: () => Promise<T>): Promise<readonly [seconds: number, result: T]> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return [(user + system) / 1e6, result];
}

const global = await openSafetensors(await model('global'));
const files = [];
for (let client = 0; client < clients; client++) files.push(await openSafetensors(await model(`client-${client}`)));
const input: AggregationInput = {
  round: 1, global, state: null, scalars: {}, seed: 1,
  updates: files.map((tensors, n) => ({ clientId: `c${n}`, numExamples: 10 + n, metrics: { loss: 1 }, tensors, inspection: { norm: 1 } })),
};
const aggregate = async (name: string, config: Parameters<typeof createStrategy>[0], sharing?: PassSharing): Promise<string> => {
  const parameters = await createSafetensors(join(folder, name), specs);
  await createStrategy(config).aggregate(input, { parameters, state: null }, { workers: 0, ...(sharing !== undefined && { sharing }) });
  return (await parameters.commit()).hash;
};

for (const config of [{ name: 'fedavg' }, { name: 'fedmedian' }, { name: 'multikrum', malicious: 1, keep: clients - 2 }] as Parameters<typeof createStrategy>[0][]) {
  await aggregate('warm', config);
  const [one, expected] = await cost(() => aggregate('one', config));
  process.stdout.write(`${config.name}: one process ${one.toFixed(2)} s\n`);
  for (const shards of [2, 3, 6]) {
    const longest: number[] = [];
    let [sum, parts] = [0, 0];
    const computed = async function* ({ index, blocks, sumsPerBlock, earlier }: SharedPass): AsyncGenerator<PassPart> {
      const seconds: number[] = [];
      for (let shard = 0; shard < shards; shard++) {
        const [from, to] = [Math.floor((shard * blocks) / shards), Math.floor(((shard + 1) * blocks) / shards)];
        const path = join(folder, `part-${parts++}`);
        seconds.push((await cost(() => writePart(path, (write) => computePart(createStrategy(config), input, { pass: index, from, to, earlier, write }))))[0]);
        sum += seconds.at(-1)!;
        const part = await openPart(path, to - from, sumsPerBlock);
        yield part;
        await part.close();
        await (await open(path, 'w')).close();
      }
      longest.push(Math.max(...seconds));
    };
    const [all, hash] = await cost(() => aggregate('shared', config, { share: (pass) => Promise.resolve(computed(pass)) }));
    if (hash !== expected) throw new Error(`${config.name} in ${shards} parts has other bytes`);
    const path = longest.reduce((total, seconds) => total + seconds, 0);
    const joined = all - sum;
    process.stdout.write(`  ${shards} processes: longest part ${path.toFixed(2)} s, putting together ${joined.toFixed(2)} s: ${(one / (path + joined)).toFixed(2)} times as fast; all together ${(sum + joined).toFixed(2)} s\n`);
  }
}
for (const file of [global, ...files]) await file.close();
rmSync(folder, { recursive: true, force: true });

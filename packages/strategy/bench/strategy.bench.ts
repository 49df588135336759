/**
 * `npx nx bench strategy`: aggregates a 100-million-parameter float32 model from files, with 8 and 32 clients.
 *
 * Needs 15 GB in `ZK0_BENCH_DIR` (default: the temporary folder) and, for figures that speak of the code rather than of the
 * disk, as much free memory for the page cache. Each measurement runs in a process of its own, for its peak memory.
 * `bench 8 fedavg` measures that alone, `bench 8 flower` the comparisons; ZK0_BENCH_PYTHON names a Python with Flower.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, rm, stat } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ELEMENTS, MODEL_BYTES, modelPath, openSafetensors, warm, writeModel } from './files.ts';
import type { ArrayKind, ArraysMeasurement } from './measure-arrays.ts';
import type { Job, Measurement } from './measure.ts';

const STRATEGIES = {
  fedavg: { name: 'fedavg' },
  fedadam: { name: 'fedadam' },
  multikrum: { name: 'multikrum', malicious: 2, keep: 4 },
  fedtrimmedavg: { name: 'fedtrimmedavg', beta: 0.2 },
} as const;
const [onlyClients, onlyStrategy] = process.argv.slice(2);
const CLIENTS = onlyClients === undefined ? [8, 32] : [Number(onlyClients)];

const folder = join(process.env['ZK0_BENCH_DIR'] ?? tmpdir(), 'zk0-strategy-bench');
const workers = Math.min(8, availableParallelism());
const log = (line: string): void => void process.stdout.write(`${line}\n`);

await mkdir(folder, { recursive: true });
await prepare();
log(`${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.version}, ${workers} worker threads`);
log(`${ELEMENTS / 1e6} M float32 parameters = ${MODEL_BYTES / 1e6} MB a model; GB/s counts bytes read and written\n`);
const memory = await memoryCopySpeed();
log(`memory copy (one thread): ${memory.toFixed(2)} GB/s`);
const disk = await diskCopySpeed();
log(`file copy (page cache, copyFile): ${disk.toFixed(2)} GB/s\n`);
log('| strategy | clients | seconds | GB/s | of file copy | of memory copy | and hashed | unchecked | one check | peak RSS | × model |');
log('|---|---|---|---|---|---|---|---|---|---|---|');
for (const clients of CLIENTS) {
  await warmModels(clients);
  for (const config of Object.values(STRATEGIES)) {
    if (onlyStrategy !== undefined && config.name !== onlyStrategy) continue;
    const { seconds, hashedSeconds, uncheckedSeconds, checkSeconds, bytes, peakRss } = await measure<Measurement>('measure.ts', config, clients);
    const speed = bytes / seconds / 1e9;
    const share = (of: number): string => `${((100 * speed) / of).toFixed(0)} %`;
    log(
      `| ${config.name} | ${clients} | ${seconds.toFixed(2)} | ${speed.toFixed(2)} | ${share(disk)} | ${share(memory)} | ` +
        `${hashedSeconds.toFixed(2)} s | ${uncheckedSeconds.toFixed(2)} s | ${checkSeconds.toFixed(3)} s | ${(peakRss / 1e6).toFixed(0)} MB | ${(peakRss / MODEL_BYTES).toFixed(2)} |`,
    );
  }
  if (onlyStrategy === undefined || onlyStrategy === 'flower') await compare(clients);
}

/** FedAvg on arrays in memory, and Flower on the same models, where `ZK0_BENCH_PYTHON` names a Python that has it. */
async function compare(clients: number): Promise<void> {
  if (clients <= 8) {
    log('');
    for (const kind of ['shared', 'ordinary'] satisfies ArrayKind[]) {
      const { anew, into } = await measure<ArraysMeasurement>('measure-arrays.ts', STRATEGIES.fedavg, clients, kind);
      log(`fedavg on arrays, ${clients} clients, ${kind}: ${anew.toFixed(2)} s; into memory of an earlier round ${into.toFixed(2)} s (medians)`);
    }
  }
  const python = process.env['ZK0_BENCH_PYTHON'];
  if (python === undefined) return;
  const script = new URL('./flower.py', import.meta.url).pathname;
  const limit = String((freemem() + reclaimable()) / 1e9 - 2);
  for (const what of clients <= 8 ? ['aggregate', 'inplace', 'serverapp', 'trimmed', 'krum'] : ['aggregate', 'inplace', 'serverapp']) {
    const { stdout } = await promisify(execFile)(python, [script, folder, String(clients), what, limit]);
    log(`flower: ${stdout.trim()}`);
  }
}

/** Page cache that gives way to programs. */
function reclaimable(): number {
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return available === undefined ? 0 : Number(available) * 1024 - freemem();
}

/** Writes the clients' models (0 is the global one) unless they are there from an earlier run. */
async function prepare(): Promise<void> {
  for (let client = 0; client <= Math.max(...CLIENTS); client++) {
    const path = modelPath(folder, client);
    const present = await stat(path).catch(() => null);
    if (present === null || present.size < MODEL_BYTES) await writeModel(path, client);
  }
}

async function measure<T>(name: 'measure.ts' | 'measure-arrays.ts', config: Job['config'], clients: number, ...more: string[]): Promise<T> {
  const job: Job = { folder, config, clients, workers, repeats: clients > 8 ? 2 : 5 };
  const script = new URL(`./${name}`, import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--conditions=@zk0/source', script, JSON.stringify(job), ...more]);
  return JSON.parse(stdout) as T;
}

/** Reads what will be read, so that it lies in the page cache as just received uploads do. */
async function warmModels(clients: number): Promise<void> {
  for (let client = 0; client <= clients; client++) {
    const file = await openSafetensors(modelPath(folder, client));
    await warm(file);
    await file.close();
  }
}

/** GB/s of the fastest of several copies; the function returns milliseconds. */
async function copySpeed(copy: () => Promise<number>): Promise<number> {
  let best = Infinity;
  for (let repeat = 0; repeat < 5; repeat++) best = Math.min(best, await copy());
  return (2 * MODEL_BYTES) / best / 1e6;
}

function memoryCopySpeed(): Promise<number> {
  const from = new Uint8Array(MODEL_BYTES).fill(1);
  const to = new Uint8Array(MODEL_BYTES).fill(2);
  return copySpeed(() => {
    const start = performance.now();
    to.set(from);
    return Promise.resolve(performance.now() - start);
  });
}

async function diskCopySpeed(): Promise<number> {
  const [from, to] = [modelPath(folder, 0), join(folder, 'copy')];
  const file = await openSafetensors(from);
  await warm(file);
  await file.close();
  const speed = await copySpeed(async () => {
    await rm(to, { force: true });
    const start = performance.now();
    await copyFile(from, to);
    return performance.now() - start;
  });
  await rm(to, { force: true });
  return speed;
}

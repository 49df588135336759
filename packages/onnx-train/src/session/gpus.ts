import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A graphics processor of this machine, as far as its driver says. */
export interface Gpu {
  readonly name: string;
  /** Bytes of memory of its own, where known. */
  readonly memoryBytes?: number;
  readonly freeBytes?: number;
  readonly driver?: string;
  /** NVIDIA's compute capability: bfloat16 needs 8.0. */
  readonly computeCapability?: string;
}

/** Makers by their PCI number. */
const VENDORS: Readonly<Record<string, string>> = { '0x1002': 'AMD', '0x10de': 'NVIDIA', '0x8086': 'Intel' };

/**
 * The graphics processors that can be found out about without a library: NVIDIA's through `nvidia-smi`, others on Linux
 * through sysfs. None elsewhere, which does not mean that there are none.
 */
export async function listGpus(): Promise<Gpu[]> {
  const nvidia = await nvidiaGpus();
  const others = process.platform === 'linux' ? await linuxGpus() : [];
  return [...nvidia, ...others.filter(({ name }) => nvidia.length === 0 || !name.startsWith('NVIDIA'))];
}

/** Where Linux shows programs a graphics processor: of Direct Rendering, NVIDIA's driver, AMD's, and Windows' own below WSL. */
const LINUX_NODES = ['/dev/dri', '/dev/nvidiactl', '/dev/kfd', '/dev/dxg'];

/** Whether this machine may have a graphics processor that a program can reach; a driver in software has none. */
export function mayHaveGpu(): boolean {
  return process.platform !== 'linux' || LINUX_NODES.some((path) => existsSync(path));
}

async function nvidiaGpus(): Promise<Gpu[]> {
  const fields = 'name,memory.total,memory.free,driver_version,compute_cap';
  try {
    const options = { timeout: 10_000, maxBuffer: 1 << 20 };
    const { stdout } = await promisify(execFile)('nvidia-smi', [`--query-gpu=${fields}`, '--format=csv,noheader,nounits'], options);
    return parseNvidiaSmi(stdout);
  } catch {
    return [];
  }
}

/** What `nvidia-smi` prints for the fields asked for, one GPU a line, memory in MiB. */
export function parseNvidiaSmi(text: string): Gpu[] {
  return text
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length === 5)
    .map(([name, total, free, driver, capability]) => ({
      name: `NVIDIA ${name!.replace(/^NVIDIA /, '')}`,
      memoryBytes: Number(total) * 2 ** 20,
      freeBytes: Number(free) * 2 ** 20,
      driver: driver!,
      computeCapability: capability!,
    }));
}

async function linuxGpus(): Promise<Gpu[]> {
  const folder = '/sys/class/drm';
  const cards = (await readdir(folder).catch((): string[] => [])).filter((name) => /^card\d+$/.test(name));
  const read = (card: string, file: string): Promise<string | undefined> =>
    readFile(join(folder, card, 'device', file), 'utf8').then((text) => text.trim(), () => undefined);
  const found = cards.map(async (card): Promise<Gpu | undefined> => {
    const [vendor, device, memory] = await Promise.all(['vendor', 'device', 'mem_info_vram_total'].map((file) => read(card, file)));
    if (vendor === undefined || VENDORS[vendor] === undefined) return undefined;
    return { name: `${VENDORS[vendor]} ${device ?? ''}`.trim(), ...(memory !== undefined && { memoryBytes: Number(memory) }) };
  });
  return (await Promise.all(found)).filter((gpu) => gpu !== undefined);
}

import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { DatasetError } from '../errors.ts';
import { MAX_IMAGE_SIDE } from '../limits.ts';
import type { FrameRequest, VideoDecoder, VideoFrame } from './decoder.ts';
import { readMp4Summary } from './mp4.ts';

/** Finds the `ffmpeg` command on the PATH; null when there is none. */
export async function findFfmpeg(searchPath: string = process.env['PATH'] ?? ''): Promise<string | null> {
  const names = process.platform === 'win32' ? ['ffmpeg.exe'] : ['ffmpeg'];
  for (const folder of searchPath.split(path.delimiter).filter((entry) => path.isAbsolute(entry))) {
    for (const name of names) {
      const file = path.join(folder, name);
      const isExecutable = await access(file, constants.X_OK).then(() => true, () => false);
      if (isExecutable) return file;
    }
  }
  return null;
}

/** Longest wait for one frame. */
const TIMEOUT_MS = 60_000;

/** Decodes with the `ffmpeg` command: one process a frame, about 0.1 s each. For machines without node-av. */
export class FfmpegDecoder implements VideoDecoder {
  readonly backend = 'ffmpeg';
  readonly #command: string;
  readonly #maxProcesses: number;
  readonly #abort = new AbortController();
  readonly #sizes = new Map<string, Promise<{ width: number; height: number }>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: { readonly command: string; readonly maxProcesses?: number }) {
    this.#command = options.command;
    this.#maxProcesses = options.maxProcesses ?? 2;
  }

  async frame(request: FrameRequest): Promise<VideoFrame> {
    if (this.#running >= this.#maxProcesses) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      if (this.#abort.signal.aborted) throw closed();
      return await this.#decode(request);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async close(): Promise<void> {
    this.#abort.abort();
    while (this.#running > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async #decode({ file, timestamp, tolerance }: FrameRequest): Promise<VideoFrame> {
    let size = this.#sizes.get(file);
    if (size === undefined) this.#sizes.set(file, (size = readMp4Summary(file)));
    const { width, height } = await size;
    if (width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE) {
      throw new DatasetError('DATASET_LIMIT', `${file} claims frames of ${width}×${height} pixels`, { file });
    }
    // The first frame at or after the earliest acceptable time is the nearest one, as long as the tolerance is at most
    // half a frame's duration. `showinfo` states the time of what came out.
    const start = Math.max(0, timestamp - tolerance);
    const input = ['-nostdin', '-v', 'info', '-threads', '1', '-ss', start.toFixed(6), '-copyts', '-i', file];
    const output = ['-map', '0:v:0', '-frames:v', '1', '-vf', 'showinfo', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'];
    const { data, log } = await this.#run([...input, ...output], width * height * 3, file);
    const time = Number(/pts_time:\s*(-?[\d.]+)/.exec(log)?.[1] ?? NaN);
    if (data.byteLength !== width * height * 3 || !(Math.abs(time - timestamp) <= tolerance + 1e-5)) {
      throw frameError(file, `no frame within ${tolerance} s of ${timestamp.toFixed(6)} s`);
    }
    return { timestamp: time, width, height, data };
  }

  async #run(args: readonly string[], bytes: number, file: string): Promise<{ data: Uint8Array; log: string }> {
    const data = new Uint8Array(bytes);
    let received = 0;
    let log = '';
    const child = spawn(this.#command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: this.#abort.signal,
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    child.stdout.on('data', (chunk: Buffer) => {
      if (received + chunk.length <= bytes) data.set(chunk, received);
      received += chunk.length;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (log.length < 65_536) log += chunk.toString('utf8');
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    }).catch((cause: unknown) => {
      if (this.#abort.signal.aborted) throw closed();
      throw new DatasetError('DATASET_NO_DECODER', `${this.#command} cannot be started`, { file, cause });
    });
    if (code !== 0 || /Error while decoding|corrupt|Invalid data/i.test(log)) {
      throw frameError(file, `ffmpeg failed: ${log.trim().split('\n').at(-1) ?? `exit code ${code}`}`);
    }
    return { data: data.subarray(0, Math.min(received, bytes)), log };
  }
}

function frameError(file: string, what: string): DatasetError {
  return new DatasetError('DATASET_FRAME', `${file}: ${what}`, {
    file,
    hint: 'Check the dataset with `zk0-client dataset validate`.',
  });
}

function closed(): DatasetError {
  return new DatasetError('DATASET_CLOSED', 'The dataset was closed while a frame was being decoded');
}

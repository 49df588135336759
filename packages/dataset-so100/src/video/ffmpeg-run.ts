import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { frameBuffer, type VideoFrame } from './decoder.ts';
import type { FfmpegCommand } from './ffmpeg-command.ts';

/** Where an {@link FfmpegRun} decodes from. */
export interface FfmpegRunOptions {
  readonly ffmpeg: FfmpegCommand;
  readonly file: string;
  /** As its sample description names it. */
  readonly codec: string;
  /** Frames before this time are left out, in seconds. */
  readonly from: number;
  readonly width: number;
  readonly height: number;
}

/** Longest wait for one frame: past it the process is taken to hang. */
const TIMEOUT_MS = 30_000;

/** Most of what the process says that is kept for messages. */
const MAX_LOG = 16_384;

/**
 * One `ffmpeg` process that decodes a video from some time on, frame by frame as they are asked for: what is not read
 * from its pipe makes it wait. Pixels come as raw RGB on one pipe, times as `showinfo` lines on the other.
 */
export class FfmpegRun {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #options: FfmpegRunOptions;
  readonly #chunks: AsyncIterator<Buffer>;
  /** Times of frames not yet handed out. */
  readonly #times: number[] = [];
  readonly #exit: Promise<string | null>;
  #rest: Buffer | null = null;
  #tick = NaN;
  #line = '';
  #log = '';
  #onTime: () => void = () => undefined;
  #isStopped = false;

  constructor(options: FfmpegRunOptions) {
    this.#options = options;
    const input = ['-hide_banner', '-nostdin', '-nostats', '-v', 'info', '-xerror', '-threads', '1', '-noautorotate'];
    // Colours as LeRobot's reader takes them, see `FrameReader`: not always what the file says.
    const range = options.codec.startsWith('avc') || options.codec.startsWith('h') ? 'auto' : 'tv';
    const filter = `showinfo=checksum=0,scale=in_color_matrix=bt601:in_range=${range}:flags=bilinear,format=rgb24`;
    const seek = ['-ss', options.from.toFixed(6), '-copyts', '-i', `file:${options.file}`];
    const output = ['-map', '0:v:0', '-vf', filter, ...options.ffmpeg.oneInOneOut, '-f', 'rawvideo', 'pipe:1'];
    this.#child = spawn(options.ffmpeg.command, [...input, ...seek, ...output], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#chunks = this.#child.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#exit = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        resolve(`cannot be started: ${error.message}`);
      });
      this.#child.once('close', (code, signal) => {
        resolve(code === 0 ? null : `ended with ${code ?? signal ?? 'nothing'}: ${lastLine(this.#log)}`);
      });
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#read(text);
    });
  }

  /**
   * The next frame; null after the last.
   *
   * @throws Error when the process fails or hangs
   */
  async next(into?: ArrayBuffer): Promise<VideoFrame | null> {
    const { width, height } = this.#options;
    const data = frameBuffer(width, height, into);
    const timer = setTimeout(() => {
      this.#log += `\nno frame within ${TIMEOUT_MS / 1000} s`;
      this.stop();
    }, TIMEOUT_MS);
    try {
      for (let filled = 0; filled < data.length; ) {
        const chunk = this.#rest ?? ((await this.#chunks.next()) as { value?: Buffer }).value;
        if (chunk === undefined) {
          const failure = await this.#exit;
          if (failure !== null && !this.#isStopped) throw new Error(`ffmpeg ${failure}`);
          if (failure !== null || filled > 0) throw new Error(`ffmpeg gave up within a frame: ${lastLine(this.#log)}`);
          return null;
        }
        const taken = chunk.subarray(0, data.length - filled);
        data.set(taken, filled);
        filled += taken.length;
        this.#rest = taken.length < chunk.length ? chunk.subarray(taken.length) : null;
      }
      return { timestamp: await this.#time(), width, height, data };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the process; a frame that is waited for fails. */
  stop(): void {
    this.#isStopped = true;
    this.#child.kill('SIGKILL');
    this.#child.stdout.destroy();
  }

  async #time(): Promise<number> {
    if (this.#times.length === 0) {
      await Promise.race([
        this.#exit,
        new Promise<void>((resolve) => {
          this.#onTime = resolve;
        }),
      ]);
    }
    const time = this.#times.shift();
    if (time === undefined || Number.isNaN(time)) throw new Error('ffmpeg gave a frame without its time');
    return time;
  }

  #read(text: string): void {
    const lines = (this.#line + text).split('\n');
    this.#line = lines.pop()!.slice(0, MAX_LOG);
    for (const line of lines) {
      const base = /\] config in time_base: (\d+)\/(\d+)/.exec(line);
      if (base !== null) this.#tick = Number(base[1]) / Number(base[2]);
      const pts = /\] n: *\d+ pts: *(-?\d+) /.exec(line)?.[1];
      if (pts === undefined) {
        this.#log = `${this.#log}\n${line}`.slice(-MAX_LOG);
        continue;
      }
      this.#times.push(Number(pts) * this.#tick);
      this.#onTime();
    }
  }
}

function lastLine(log: string): string {
  return log.trimEnd().split('\n').at(-1)!.slice(0, 500);
}

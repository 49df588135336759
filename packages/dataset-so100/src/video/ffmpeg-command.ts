import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import path from 'node:path';

/** An `ffmpeg` command, looked at. */
export interface FfmpegCommand {
  readonly command: string;
  /** As it states it, e.g. `5.1.9-0+deb12u1`. */
  readonly version: string;
  /** Names of its decoders. */
  readonly decoders: ReadonlySet<string>;
  /** Options that keep it from doubling or dropping frames to even out their rate. */
  readonly oneInOneOut: readonly string[];
}

/** Finds the `ffmpeg` command on the PATH; null when there is none. */
export async function findFfmpeg(searchPath: string = process.env['PATH'] ?? ''): Promise<string | null> {
  const name = process.platform === 'win32' ? 'ffmpeg.exe' : 'ffmpeg';
  for (const folder of searchPath.split(path.delimiter).filter((entry) => path.isAbsolute(entry))) {
    const file = path.join(folder, name);
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file;
  }
  return null;
}

/** Asks a command what it can decode. @throws Error when it does not run */
export async function describeFfmpeg(command: string): Promise<FfmpegCommand> {
  const [about, list] = await Promise.all([output(command, ['-version']), output(command, ['-hide_banner', '-decoders'])]);
  const decoders = [...list.matchAll(/^ V[\w.]{5} (\S+)/gm)].map((match) => match[1]!);
  const version = /^ffmpeg version (\S+)/.exec(about)?.[1] ?? 'unknown';
  // `-fps_mode` came with 5.1; builds between releases are named otherwise, and are newer.
  const isOld = /^n?([0-4]\.|5\.0)/.test(version);
  return { command, version, decoders: new Set(decoders), oneInOneOut: [isOld ? '-vsync' : '-fps_mode', 'passthrough'] };
}

/** Longest answer, and longest wait for it. */
const MAX_OUTPUT = 2 ** 20;
const TIMEOUT_MS = 10_000;

function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (text.length < MAX_OUTPUT) text += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code ?? 'a signal'}`));
    });
  });
}

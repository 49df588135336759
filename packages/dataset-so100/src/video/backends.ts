import { createRequire } from 'node:module';
import { errorMessage } from '@zk0/core';
import type { VideoBackend } from './decoder.ts';
import { describeFfmpeg, findFfmpeg, type FfmpegCommand } from './ffmpeg-command.ts';

/** One way to decode video, as this machine has it. */
export interface BackendReport {
  readonly backend: VideoBackend;
  /** What it is and where, for people. */
  readonly where: string;
  /** Why it cannot be used at all; null when it can. */
  readonly problem: string | null;
  /** Codecs it decodes, as an MP4 names them. */
  readonly codecs: readonly string[];
  /** The command, of that back end. */
  readonly ffmpeg: FfmpegCommand | null;
}

/** Names in an MP4 → decoders of FFmpeg, any of which does. */
const FFMPEG_DECODERS: Readonly<Record<string, readonly string[]>> = {
  // Not `av1`: that one only hands over to a graphics card.
  av01: ['libdav1d', 'libaom-av1', 'libgav1'],
  avc1: ['h264'],
  avc3: ['h264'],
  hvc1: ['hevc'],
  hev1: ['hevc'],
  mp4v: ['mpeg4'],
  vp09: ['vp9', 'libvpx-vp9'],
};

/** Codecs that LeRobot datasets come in, by their names in an MP4. */
export const KNOWN_CODECS: readonly string[] = Object.keys(FFMPEG_DECODERS);

export function isSupported(report: BackendReport, codec: string): boolean {
  return report.codecs.includes(codec);
}

/** Looks at one back end, without starting it. */
export async function describeBackend(backend: VideoBackend): Promise<BackendReport> {
  const none = { backend, codecs: [], ffmpeg: null };
  switch (backend) {
    case 'node-av': {
      const problem = nodeAvProblem();
      const where = 'FFmpeg inside this process (node-av, GPL-3.0 binary)';
      return { backend, where, problem, codecs: problem === null ? KNOWN_CODECS : [], ffmpeg: null };
    }
    case 'ffmpeg': {
      const command = await findFfmpeg();
      if (command === null) return { ...none, where: 'the ffmpeg command', problem: 'is not on the PATH' };
      try {
        const ffmpeg = await describeFfmpeg(command);
        const codecs = KNOWN_CODECS.filter((codec) => FFMPEG_DECODERS[codec]!.some((name) => ffmpeg.decoders.has(name)));
        return { backend, where: `${command}, version ${ffmpeg.version}`, problem: null, codecs, ffmpeg };
      } catch (error) {
        return { ...none, where: command, problem: `does not run: ${errorMessage(error)}` };
      }
    }
    case 'wasm':
      return { backend, where: 'dav1d in WebAssembly, no native code', problem: null, codecs: ['av01'], ffmpeg: null };
  }
}

/** node-av is an optional dependency, and its binary one of node-av's. */
function nodeAvProblem(): string | null {
  const require = createRequire(import.meta.url);
  try {
    require.resolve('node-av/lib');
  } catch {
    return 'is not installed';
  }
  const { platform, arch } = process;
  const names = platform === 'win32' ? [`win32-${arch}-msvc`, `win32-${arch}-mingw`] : [`${platform}-${arch}`];
  const near = createRequire(require.resolve('node-av/lib'));
  const isBuilt = names.some((name) => {
    try {
      near.resolve(`@seydx/node-av-${name}/package.json`);
      return true;
    } catch {
      return false;
    }
  });
  return isBuilt ? null : `has no binary for ${platform}-${arch} here`;
}

import { DatasetError } from '../errors.ts';
import { walkFiles } from '../format/walk-files.ts';
import type { Recording } from './recording.ts';

/** An episode's part of a video file, by the metadata. */
export interface VideoClaim {
  readonly episode: number;
  readonly camera: string;
  /** Seconds into the file. */
  readonly from: number;
  /** Frames. */
  readonly length: number;
}

const known = new WeakMap<Recording, ReadonlyMap<string, readonly VideoClaim[]>>();

/** By video file: what all recorded episodes claim of it, in the order of their beginnings. */
export function claimsOf(recording: Recording): ReadonlyMap<string, readonly VideoClaim[]> {
  let claims = known.get(recording);
  if (claims !== undefined) return claims;
  const byFile = new Map<string, VideoClaim[]>();
  for (const { episodeIndex, length, videos } of recording.episodes) {
    for (const [camera, { file, fromTimestamp }] of videos) {
      const list = byFile.get(file) ?? [];
      list.push({ episode: episodeIndex, camera, from: fromTimestamp, length });
      byFile.set(file, list);
    }
  }
  for (const list of byFile.values()) list.sort((a, b) => a.from - b.from || a.episode - b.episode);
  claims = byFile;
  known.set(recording, claims);
  return claims;
}

/** When the next episode of a file begins after a time; infinity where none does. */
export function nextBeginning(claims: readonly VideoClaim[], from: number): number {
  let [low, high] = [0, claims.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (claims[middle]!.from > from) high = middle;
    else low = middle + 1;
  }
  return claims[low]?.from ?? Infinity;
}

/** Rounding of the times at which episodes begin puts them off by less than this many frames. */
const ROUNDING_FRAMES = 0.75;

/** Most episodes that a message lists. */
const MAX_NAMED = 12;

/**
 * Finds what contradicts itself in the claims on one file: stretches that two episodes claim, and episodes that lie beyond its end,
 * after which the others need not be where the metadata says either. Null where nothing does.
 *
 * @param frameCount frames of the file; 0 where it does not say
 */
export function contradiction(claims: readonly VideoClaim[], frameCount: number, fps: number): string | null {
  const doubled = new Set<number>();
  // The claim that reaches furthest so far: whatever begins before its end shares frames with it.
  let furthest: VideoClaim | null = null;
  for (const claim of claims) {
    const shared: number = furthest === null ? 0 : (furthest.from - claim.from) * fps + furthest.length;
    if (furthest !== null && shared > ROUNDING_FRAMES && claim.length > 0) doubled.add(claim.episode).add(furthest.episode);
    if (furthest === null || claim.from * fps + claim.length > furthest.from * fps + furthest.length) furthest = claim;
  }
  if (doubled.size > 0) return `the episodes ${namesOf(doubled)} claim the same stretch of it`;
  const beyond = frameCount === 0 ? [] : claims.filter(({ from, length }) => length > 0 && Math.round(from * fps) >= frameCount);
  if (beyond.length === 0 || claims.length === 1) return null;
  const all = new Set(claims.map(({ episode }) => episode));
  return `the episodes ${namesOf(new Set(beyond.map(({ episode }) => episode)))} begin beyond its ${frameCount} frames, so that it need not be the video of the episodes ${namesOf(all)} at all`;
}

function namesOf(episodes: ReadonlySet<number>): string {
  const sorted = [...episodes].sort((a, b) => a - b);
  const more = sorted.length > MAX_NAMED ? ` and ${sorted.length - MAX_NAMED} more` : '';
  return `${sorted.slice(0, MAX_NAMED).join(', ')}${more}`;
}

/**
 * Proves that no two recorded episodes claim the same frames of a video file, and that none lies beyond its end.
 *
 * @param path where the file is, for messages
 * @throws DatasetError `DATASET_VIDEO` naming all episodes, and video files of the same camera that no episode uses
 */
export async function assertClaims(recording: Recording, file: string, path: string, frameCount: number): Promise<void> {
  const claims = claimsOf(recording).get(file) ?? [];
  const what = contradiction(claims, frameCount, recording.info.fps);
  if (what === null) return;
  const unused = await unusedVideos(recording, claims[0]!.camera);
  const beside = unused.length === 0 ? '' : `; no episode uses ${unused.slice(0, 5).join(', ')}, a video of the same camera`;
  throw new DatasetError('DATASET_VIDEO', `${path}: by meta/, ${what}${beside}`, {
    file: path,
    hint:
      'Other pictures than theirs would be read. `zk0-client dataset validate URI --fix DIR` uses the right files where the lengths of videos and episodes tell them; ' +
      'otherwise leave these episodes out with ?episodes=….',
  });
}

/** Video files of a camera, as the path template names them, in order. */
export async function videosOfCamera({ folder, info }: Recording, camera: string): Promise<readonly string[]> {
  if (info.videoPath === null) return [];
  const pattern = info.videoPath
    .replace(/[.*+?^$()|[\]\\]/g, '\\$&')
    .replace(/\{(\w+)(?::[^}]*)?\}/g, (_, name: string) => (name === 'video_key' ? camera.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') : '\\d+'));
  const shape = new RegExp(`^${pattern}$`);
  const [top = ''] = info.videoPath.split('/');
  const root = await folder.resolve(top, { kind: 'folder' }).catch(() => null);
  const files: string[] = [];
  if (root === null || top.includes('{')) return files;
  for await (const path of walkFiles(root)) {
    const file = `${top}/${path}`;
    if (shape.test(file)) files.push(file);
    if (files.length > MAX_VIDEO_FILES) break;
  }
  return files.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

const MAX_VIDEO_FILES = 200_000;

async function unusedVideos(recording: Recording, camera: string): Promise<readonly string[]> {
  const claims = claimsOf(recording);
  return (await videosOfCamera(recording, camera)).filter((file) => !claims.has(file));
}

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TRIAL_FAILURES } from '@zk0/core';
import type { ClipView } from '@zk0/dashboard';
import { RunPaths } from '../outputs/paths.ts';

/** Clips of one checkpoint that are named. */
const MAX_CLIPS = 12;
const CHECKPOINT = /^checkpoint_[a-z0-9_]{1,40}$/;
/** As {@link Clips} names them: the trial, the place where there are several, the outcome. */
const CLIP = new RegExp(`^trial-\\d{1,6}(?:-(?<place>[\\w .]{1,60}))?-(?<outcome>success|${TRIAL_FAILURES.join('|')})\\.mp4$`);

/** The filmed trials of a checkpoint, successes first. */
export function clipsOf(runDirectory: string, checkpoint: string): readonly ClipView[] {
  if (!CHECKPOINT.test(checkpoint)) return [];
  const folder = new RunPaths(runDirectory).clips(checkpoint);
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const clips = names.flatMap((file): ClipView[] => {
    const { outcome, place } = CLIP.exec(file)?.groups ?? {};
    return outcome === undefined ? [] : [{ file, outcome, place: place ?? null }];
  });
  return [...clips.filter(({ outcome }) => outcome === 'success'), ...clips.filter(({ outcome }) => outcome !== 'success')].slice(0, MAX_CLIPS);
}

/** Where a clip lies; `null` for names that are no clip's, whatever a browser asks for. */
export function clipOf(runDirectory: string, checkpoint: string, file: string): string | null {
  if (!CHECKPOINT.test(checkpoint) || !CLIP.test(file)) return null;
  const path = join(new RunPaths(runDirectory).clips(checkpoint), file);
  return existsSync(path) ? path : null;
}

import { degreesPerUnit } from '../units/degrees-per-unit.ts';
import { compareEpisodes } from './compare-episodes.ts';
import { checkMotion, type EpisodeValues, type MotionContext, type MotionFinding } from './episode-motion.ts';
import { noteMotion, spreadsOf } from './episode-notes.ts';
import { WORTH, type MotionCode } from './thresholds.ts';

/** How an episode moves. */
export interface EpisodeScore {
  /** Recorded number. */
  readonly episode: number;
  /** 1 for one of which nothing was found, less for each kind of thing found, 0 at least. */
  readonly score: number;
  readonly findings: readonly MotionFinding[];
  /** What is worth a look and takes nothing off the score. */
  readonly notes: readonly MotionFinding[];
}

/** Degrees (or per cent) that one unit of each state value is; NaN where units are not known. */
function scalesOf({ joints }: MotionContext): readonly number[] {
  return joints.state.map((joint) => degreesPerUnit(joint) ?? NaN);
}

/** Checks how every episode of a dataset moves, alone and beside the others. */
export function scoreEpisodes(
  episodes: readonly (EpisodeValues & { readonly episodeIndex: number })[],
  context: MotionContext,
): readonly EpisodeScore[] {
  const beside = compareEpisodes(episodes, scalesOf(context));
  const spreads = spreadsOf(episodes, context);
  return episodes.map((episode) => {
    const found = [...checkMotion(episode, context), ...noteMotion(episode, context, spreads), ...(beside.get(episode.episodeIndex) ?? [])];
    const [findings, notes] = [found.filter(({ code }) => WORTH[code] < 1), found.filter(({ code }) => WORTH[code] === 1)];
    return { episode: episode.episodeIndex, score: scoreOf(findings.map(({ code }) => code)), findings, notes };
  });
}

/** What is left of an episode's worth: every kind of thing found takes its share once. */
export function scoreOf(codes: readonly MotionCode[]): number {
  const worth = [...new Set(codes)].reduce((left, code) => left * WORTH[code], 1);
  return Math.round(worth * 1000) / 1000;
}

import type { EpisodeRecord } from '../format/episodes.ts';
import type { Recording } from '../read/recording.ts';
import type { RepairChange } from './repair.ts';

/** What a copy has other than the original as a whole, whatever its episodes are like. */
export function wholeSetChanges(listed: Recording, episodes: readonly EpisodeRecord[], fps: number): RepairChange[] {
  const { info } = listed;
  const changes: string[] = [];
  if (info.version !== 'v3.0') changes.push(`format ${info.version} written as v3.0, which LeRobot reads from 0.4 on`);
  if (fps !== info.fps) changes.push(`fps corrected from ${info.fps} to ${fps}, at which all videos play`);
  if (listed.episodes.length > episodes.length) {
    changes.push(`${listed.episodes.length - episodes.length} episodes listed twice in meta/ are listed once`);
  }
  const frames = episodes.reduce((sum, { length }) => sum + length, 0);
  if (info.totalEpisodes !== episodes.length || info.totalFrames !== frames) {
    changes.push(`totals of meta/info.json counted anew (were ${info.totalEpisodes} episodes, ${info.totalFrames} frames)`);
  }
  if (episodes.some(({ episodeIndex }, number) => episodeIndex !== number)) changes.push('episodes numbered from 0 without gaps');
  changes.push('statistics computed anew, quantiles included');
  return changes.map((message) => ({ message }));
}

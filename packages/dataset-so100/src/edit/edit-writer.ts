import { CancelledError } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { DatasetTables, type EpisodePictures, type EpisodeVideo } from '../write/dataset-tables.ts';
import { VideoCopies } from '../write/video-copies.ts';
import type { EditSource, SourceEpisode } from './edit-source.ts';
import { VideoStretches } from './video-stretches.ts';

/** A task of one row of an episode; undefined where it has none. */
export type TaskEdit = (task: string | undefined, episode: number) => string | undefined;

/** Which episodes of a dataset are copied, in the order of their numbers, and what their tasks become. */
export interface EditPart {
  readonly source: EditSource;
  readonly episodes: readonly EpisodeRecord[];
  readonly retask?: TaskEdit;
}

/** What was written. */
export interface EditedDataset {
  readonly path: string;
  readonly episodes: number;
  readonly frames: number;
  readonly tasks: readonly string[];
}

/** How writing goes on. */
export interface EditHooks {
  readonly wholeVideos?: boolean;
  readonly robotType?: string;
  readonly signal?: AbortSignal;
  /** Called after each episode. */
  readonly onEpisode?: () => void;
  /** Called with each episode that was read. */
  readonly onRead?: (episode: SourceEpisode, source: EditSource) => void;
}

/**
 * Writes episodes of datasets that agree into one new dataset of format v3.0, one after the other, renumbered from 0. Rows, timestamps
 * and pictures stay as recorded; statistics of rows are computed, those of images taken over from the datasets where they have them;
 * those of the whole are merged as LeRobot merges them.
 *
 * @param root a folder to fill
 * @param path where it will be, for the result
 */
export async function writeEdited(root: string, path: string, parts: readonly EditPart[], hooks: EditHooks): Promise<EditedDataset> {
  const [first] = parts as readonly [EditPart, ...EditPart[]];
  const { info } = first.source.recording;
  const tables = new DatasetTables(root, {
    fps: info.fps,
    robotType: hooks.robotType ?? info.robotType,
    stateNames: info.state.names,
    actionNames: info.action.names,
    cameras: first.source.videoCameras,
    pictures: first.source.pictureCameras,
  });
  const copies = new VideoCopies(root, first.source.features.pixelFormats);
  for (const { source, episodes, retask } of parts) {
    const chosen = new Set(episodes.map(({ episodeIndex }) => episodeIndex));
    const { recording, videos } = source;
    const stretches = new VideoStretches({ recording, files: videos.files, copies, chosen, whole: hooks.wholeVideos === true });
    for (const record of episodes) {
      if (hooks.signal?.aborted === true) throw new CancelledError('Editing the dataset');
      const episode = await source.read(record);
      hooks.onRead?.(episode, source);
      const { state, action, timestamps } = episode;
      const placed = await placeVideos(episode, stretches);
      const pictures = await copyPictures(episode, source);
      await tables.append({ state, action, timestamps, tasks: tasksOf(episode, source, retask) }, placed, pictures);
      hooks.onEpisode?.();
    }
  }
  await tables.finish(copies.codings);
  const { episodeCount, frameCount, tasks } = tables;
  return { path, episodes: episodeCount, frames: frameCount, tasks };
}

async function placeVideos({ record, spans, imageStatistics }: SourceEpisode, stretches: VideoStretches): Promise<Map<string, EpisodeVideo>> {
  const placed = new Map<string, EpisodeVideo>();
  for (const [camera, { begins, ends }] of spans) {
    const { position, shift } = await stretches.place(record, camera);
    const fromTimestamp = Math.max(0, begins - shift);
    placed.set(camera, { position, fromTimestamp, toTimestamp: ends - shift, statistics: imageStatistics.get(camera)! });
  }
  return placed;
}

async function copyPictures({ pictures, imageStatistics }: SourceEpisode, { copies }: EditSource): Promise<Map<string, EpisodePictures>> {
  const copied = new Map<string, EpisodePictures>();
  for (const [camera, positions] of pictures) copied.set(camera, { ...(await copies.of(positions)), statistics: imageStatistics.get(camera)! });
  return copied;
}

/** @throws DatasetError `DATASET_METADATA` for rows without a task */
function tasksOf({ record: { episodeIndex }, tasks }: SourceEpisode, { uri }: EditSource, retask: TaskEdit = (task) => task): string[] {
  return tasks.map((task, row) => {
    const text = retask(task, episodeIndex);
    if (text !== undefined) return text;
    throw new DatasetError('DATASET_METADATA', `${uri}: row ${row} of episode ${episodeIndex} has no task`, {
      row,
      episode: episodeIndex,
      hint: `A policy is told the task in words: give it one with \`zk0-client dataset relabel URI DIR --set "${episodeIndex}=…"\`.`,
    });
  });
}

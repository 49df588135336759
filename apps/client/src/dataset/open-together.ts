import { showPhases, zk0Home, type Progress, type RecordingOptions } from '@zk0/cli';
import { InvalidArgumentError, type RobotDataset } from '@zk0/core';
import { joinDatasets, openDatasets, type UnitConvention } from '@zk0/dataset-so100';

/** How recordings are opened. */
export interface OpenTogetherOptions extends RecordingOptions<UnitConvention> {
  /** Frames a second that all are brought to. */
  readonly fps?: number | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/**
 * Opens the recordings that are named, several of them as one; says what people should know about them.
 *
 * @throws InvalidArgumentError where none are named
 * @throws DatasetError for what is wrong with one, or where they cannot be read as one; none stays open
 */
export async function openTogether(
  uris: readonly string[],
  { fps, progress, signal, ...how }: OpenTogetherOptions,
): Promise<{ readonly dataset: RobotDataset; readonly notes: readonly string[] }> {
  if (uris.length === 0) throw new InvalidArgumentError('no recordings are named', { hint: 'Name yours with --dataset: a path, hf:owner/name, or demo:<task>.' });
  const opened = await openDatasets(uris, {
    ...how,
    cacheDirectory: zk0Home(),
    signal,
    onProgress: (uri, phase) => {
      showPhases(progress, uri)(phase);
    },
  });
  try {
    const { dataset, notes } = joinDatasets(opened.map((part) => ({ dataset: part })), fps === undefined ? {} : { fps });
    return { dataset, notes: [...opened.flatMap(({ warnings }) => warnings), ...notes] };
  } catch (error) {
    await Promise.all(opened.map((part) => part.close()));
    throw error;
  }
}

/** Frames a second, or undefined. @throws InvalidArgumentError */
export function parseFps(fps: number | undefined): number | undefined {
  if (fps === undefined || (fps > 0 && fps <= 1000)) return fps;
  throw new InvalidArgumentError('--fps must be a number above 0 and up to 1000');
}

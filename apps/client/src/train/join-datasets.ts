import { createHash } from 'node:crypto';
import { InvalidArgumentError, type RobotDataset, type RobotDatasetInfo } from '@zk0/core';
import { mergeMoments } from '@zk0/dataset-so100';

/**
 * Several datasets of one robot as one: the frames of the first, then those of the second, and so on. Closing it closes
 * them all.
 *
 * @throws InvalidArgumentError when they differ in joints, cameras or frame rate
 */
export function joinDatasets(datasets: readonly RobotDataset[]): RobotDataset {
  const [first, ...others] = datasets;
  if (first === undefined) throw new InvalidArgumentError('there are no datasets to join');
  if (others.length === 0) return first;
  for (const { info } of others) assertAlike(first.info, info);
  const offsets: number[] = [];
  let frameCount = 0;
  for (const { info } of datasets) {
    offsets.push(frameCount);
    frameCount += info.frameCount;
  }
  const at = (frame: number): readonly [RobotDataset, number] => {
    const index = offsets.findLastIndex((offset) => offset <= frame);
    return [datasets[index]!, frame - offsets[index]!];
  };
  const infos = datasets.map(({ info }) => info);
  return {
    info: {
      ...first.info,
      name: infos.map(({ name }) => name).join(' + '),
      uri: infos.map(({ uri }) => uri).join(' '),
      contentHash: createHash('sha256').update(infos.map(({ contentHash }) => contentHash).join('\n')).digest('hex'),
      frameCount,
      episodes: infos
        .flatMap(({ episodes }, index) => episodes.map(({ from, to }) => ({ from: from + offsets[index]!, to: to + offsets[index]! })))
        .map((span, episodeIndex) => ({ episodeIndex, ...span })),
      tasks: [...new Set(infos.flatMap(({ tasks }) => tasks))],
      moments: {
        state: mergeMoments(infos.map(({ moments }) => moments.state)),
        action: mergeMoments(infos.map(({ moments }) => moments.action)),
      },
    },
    state: (frame) => {
      const [dataset, own] = at(frame);
      return dataset.state(own);
    },
    actionChunk: (frame, length) => {
      const [dataset, own] = at(frame);
      return dataset.actionChunk(own, length);
    },
    task: (frame) => {
      const [dataset, own] = at(frame);
      return dataset.task(own);
    },
    images: (frame, keys, reuse) => {
      const [dataset, own] = at(frame);
      return dataset.images(own, keys, reuse);
    },
    close: async () => {
      await Promise.all(datasets.map((dataset) => dataset.close()));
    },
  };
}

function assertAlike(one: RobotDatasetInfo, other: RobotDatasetInfo): void {
  const shape = ({ fps, stateNames, actionNames, cameras }: RobotDatasetInfo): string =>
    `${fps} frames a second, ${stateNames.length} state values, ${actionNames.length} actions, cameras ${cameras.map(({ key, width, height }) => `${key} ${width}×${height}`).join(', ')}`;
  if (shape(one) === shape(other)) return;
  throw new InvalidArgumentError(`${one.uri} has ${shape(one)}; ${other.uri} has ${shape(other)}: one policy cannot train on both`, {
    hint: 'Choose recordings of one robot with the same cameras.',
  });
}

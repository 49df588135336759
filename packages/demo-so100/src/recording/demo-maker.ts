import { InvalidArgumentError } from '@zk0/core';
import type { DemoMaker, DemoRequest } from '@zk0/dataset-so100';
import { makeDemoDataset, type DemoDatasetOptions } from './demo-dataset.ts';

/** Settings that the address of a demo dataset may carry beside task, number and seed. */
const SETTINGS = ['fps', 'height', 'place', 'width'] as const;

/**
 * Makes the datasets of `demo:` addresses: `demo:<task>?episodes=20&seed=1&fps=5&place=left`. Hand it to `openDataset`
 * and `listEpisodes` as `demo`.
 */
export const demoMaker: DemoMaker = {
  revision: 4,
  make: (request, directory, { signal, onProgress }) =>
    makeDemoDataset(directory, {
      task: request.task,
      episodes: request.episodes,
      seed: request.seed,
      ...worldSettings(request),
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ episodes, total }) => {
        onProgress(episodes, total);
      },
    }),
};

/**
 * The settings of an address as options of the demo world.
 *
 * @throws InvalidArgumentError for a setting that is unknown or no number
 */
export function worldSettings({ settings }: Pick<DemoRequest, 'settings'>): Pick<DemoDatasetOptions, 'fps' | 'height' | 'place' | 'width'> {
  const known: readonly string[] = SETTINGS;
  const unknown = Object.keys(settings).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`the address of a demo has the unknown setting "${unknown}"`, {
      hint: `Known are ${known.join(', ')}, and of recordings episodes, seed, select.`,
    });
  }
  const number = (key: 'fps' | 'height' | 'width'): { [name in typeof key]?: number } => {
    const text = settings[key];
    if (text === undefined) return {};
    const value = Number(text);
    if (!Number.isInteger(value)) throw new InvalidArgumentError(`the address of a demo has ${key}=${text}; it must be a whole number`);
    return { [key]: value };
  };
  const { place } = settings;
  return { ...number('fps'), ...number('width'), ...number('height'), ...(place === undefined ? {} : { place }) };
}

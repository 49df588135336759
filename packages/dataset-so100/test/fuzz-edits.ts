import { rm } from 'node:fs/promises';
import path from 'node:path';
import { dropEpisodes, mergeDatasets, relabelDataset, splitDataset } from '../src/index.ts';

const OPTIONS = { video: { threads: 1 } };

/**
 * Edits of a damaged set, each a word for how it ended. What was written is read, whole: an edit that does not refuse a set leaves
 * one that opens.
 *
 * @param read reads all of a set; an error of it is the set's
 */
export function editVisits(read: (root: string) => Promise<string>): readonly ((root: string) => Promise<string>)[] {
  const leaving = async (root: string, work: (copy: string) => Promise<readonly string[]>): Promise<void> => {
    const copy = `${root}-copy`;
    try {
      for (const written of await work(copy)) {
        await read(written).catch((error: unknown) => {
          // Frames that cannot be decoded are copied as they are; everything else was read before it was written.
          if (isFrameError(error)) return;
          throw new Error(`what was written cannot be read: ${String(error)}`, { cause: error });
        });
      }
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  };
  return [
    async function merge(root) {
      await leaving(root, async (copy) => [(await mergeDatasets([`${root}-sound`, root], copy, OPTIONS)).path]);
      return 'merged';
    },
    async function split(root) {
      await leaving(root, async (copy) => {
        const { parts } = await splitDataset(root, copy, { kind: 'fractions', parts: { train: 0.5, test: 0.5 }, seed: 'fuzz' }, OPTIONS);
        return Object.keys(parts).map((name) => path.join(copy, name));
      });
      return 'split';
    },
    async function relabel(root) {
      await leaving(root, async (copy) => [(await relabelDataset(root, copy, [{ episodes: [0], to: 'lift' }], OPTIONS)).path]);
      return 'relabelled';
    },
    async function drop(root) {
      await leaving(root, async (copy) => [(await dropEpisodes(root, copy, { episodes: [0], scoreBelow: 0.001 }, OPTIONS)).path]);
      return 'dropped';
    },
  ];
}

function isFrameError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'DATASET_FRAME';
}

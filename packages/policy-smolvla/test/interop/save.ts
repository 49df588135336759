/**
 * Saves a checkpoint and what it predicts, for `load.py` to repeat with the real LeRobot:
 * `node --conditions=@zk0/source test/interop/save.ts <folder>`
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '@zk0/core';
import { openPolicy } from '../../src/index.ts';
import { normalizerOf, syntheticDataset } from '../synthetic-dataset.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: save.ts <folder>');
const dataset = syntheticDataset({ width: 40, height: 24 });
const { info } = dataset;
const normalizer = normalizerOf(dataset);
const features = { stateSize: 6, actionSize: 6, cameras: info.cameras.map(({ key }) => key) };
const policy = await openPolicy('small', { device: 'cpu', features, cacheDirectory: folder });
const learner = policy.learner(dataset, { normalizer, cache: 'off' });
const instructions = { round: 1, seed: 's', localSteps: 3, batchSize: 4, learningRate: 1e-3, proximalMu: 0 };
const { parameters } = await learner.fit(await policy.initialParameters(), instructions);
await policy.saveCheckpoint(join(folder, 'checkpoint'), parameters, { normalizer });
await learner.close();
await policy.close();

const saved = await openPolicy(join(folder, 'checkpoint'), { device: 'cpu' });
const { chunkSize, maxActionDim } = saved.config.model;
const noise = new Random('noise').fillNormal(new Float32Array(chunkSize * maxActionDim));
const images = await dataset.images(7, features.cameras);
const state = dataset.state(7);
const { actions } = await saved.act(
  { state, images: Object.fromEntries(features.cameras.map((key, index) => [key, images[index]!])), task: dataset.task(7) },
  { noise },
);
await saved.close();
const sample = {
  task: dataset.task(7),
  state: [...state],
  images: Object.fromEntries(features.cameras.map((key, index) => [key, [...images[index]!.data]])),
  size: [images[0]!.height, images[0]!.width],
  noise: [...noise],
  actions: [...actions],
};
writeFileSync(join(folder, 'sample.json'), JSON.stringify(sample));

/**
 * Writes what `golden/raw/make.py` gives to LeRobot: `node --conditions=@zk0/source test/interop/write-raw.ts FOLDER`, a checkpoint and a
 * batch of raw pixels, joint values and words for each case of `test/raw-cases.ts`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openPolicy } from '../../src/index.ts';
import { computeRaw, RAW_CASES, rawCamera, rawDataset, rawDraws, writeRawCheckpoint } from '../raw-cases.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: write.ts FOLDER');
for (const one of RAW_CASES) {
  const own = join(folder, one.name);
  mkdirSync(own, { recursive: true });
  const checkpoint = join(own, 'checkpoint');
  await writeRawCheckpoint(one, checkpoint, folder);
  const policy = await openPolicy(checkpoint, { device: 'cpu' });
  const { chunkSize, maxActionDim } = policy.config.model;
  const { frames, noise, time } = rawDraws(one, maxActionDim);
  const dataset = rawDataset(one);
  const keys = one.cameras.map((_, index) => rawCamera(index));
  const pictures = await Promise.all(frames.map((frame) => dataset.images(frame, keys)));
  const chunks = frames.map((frame) => dataset.actionChunk(frame, chunkSize));
  const batch = {
    images: Object.fromEntries(keys.map((key, camera) => [key, { size: one.cameras[camera], data: pictures.map((row) => [...row[camera]!.data]) }])),
    state: frames.map((frame) => [...dataset.state(frame)]),
    action: chunks.map(({ actions }) => [...actions]),
    actionIsPad: chunks.map(({ isPad }) => [...isPad].map((flag) => flag === 1)),
    task: frames.map((frame) => dataset.task(frame)),
    noise: [...noise],
    noiseShape: [frames.length, chunkSize, maxActionDim],
    time: [...time],
    ours: await computeRaw(one, policy).then(({ loss, actions }) => ({ loss, actions: actions.map((chunk) => [...chunk]) })),
    baseHash: policy.baseHash,
  };
  await policy.close();
  writeFileSync(join(own, 'batch.json'), JSON.stringify(batch));
}

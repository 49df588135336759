import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertDataset, openDataset, parseDatasetUri, repairDataset, validateDataset } from '../src/index.ts';
import { CODINGS, encodeNumbered, numberOf } from './encode-video.ts';
import { writeFixture } from './fixtures.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-odd-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const TOP = 'observation.images.top';

describe('a path', () => {
  it.each(['with spaces', 'what?', 'set#1', 'a:b', '100%', 'ünï cödé', "it's", 'x&y=z', 'a+b', '[0]', 'set?v=2/inner'])(
    'may be "%s": read, checked, repaired, converted, and parts of it chosen',
    async (name) => {
      const root = path.join(folder, name);
      await writeFixture(root, { version: 'v2.1', lengths: [3, 4] });
      for (const [episode, frames] of [[0, 3], [1, 4]] as const) {
        encodeNumbered(path.join(root, `videos/chunk-000/${TOP}/episode_00000${episode}.mp4`), CODINGS['AV1 as LeRobot codes it'], { frames, fps: 10 });
      }
      for (const uri of [root, `local:${root}`, pathToFileURL(root).href]) {
        for (const backend of ['node-av', 'wasm'] as const) {
          const dataset = await openDataset(`${uri}?episodes=1`, { video: { backend, threads: 1 } });
          expect(dataset.info.frameCount).toBe(4);
          expect(numberOf((await dataset.images(2, [TOP]))[0]!)).toBe(2);
          await dataset.close();
        }
      }
      expect((await validateDataset(root)).ok).toBe(true);
      await repairDataset(root, `${root} copy`);
      await convertDataset(root, `${root} v3`);
      for (const made of [`${root} copy`, `${root} v3`]) await (await openDataset(made)).close();
    },
  );

  it.each([
    ['robot:set', 'Where it is a path with a colon in it, write ./robot:set or local:robot:set'],
    ['set?v=2', '%3F'],
    ['file:///data/set#1', 'Write %3F for ? and %23 for #'],
    ['file://host/set', 'Write a path'],
  ])('that reads as something else is named, with how to write it: %s', (uri, hint) => {
    expect(() => parseDatasetUri(uri)).toThrow(expect.objectContaining({ code: 'DATASET_URI', hint: expect.stringContaining(hint) as string }));
  });

  it('with a colon is one after ./ or local:', () => {
    expect(parseDatasetUri('./robot:set')).toMatchObject({ scheme: 'local', path: './robot:set' });
    expect(parseDatasetUri('local:robot:set')).toMatchObject({ scheme: 'local', path: 'robot:set' });
  });
});

import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertDataset, openDataset, parseDatasetUri, validateDataset } from '../src/index.ts';
import { CODINGS, encodeNumbered, numberOf } from './encode-video.ts';
import { writeFixture } from './fixtures.ts';

const TOP = 'observation.images.top';

let folder: string;
let plain: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-odd-'));
  plain = path.join(folder, 'plain');
  await writeFixture(plain, { version: 'v2.1', lengths: [3, 4] });
  for (const [episode, frames] of [[0, 3], [1, 4]] as const) {
    encodeNumbered(path.join(plain, `videos/chunk-000/${TOP}/episode_00000${episode}.mp4`), CODINGS['AV1 as LeRobot codes it'], { frames, fps: 10 });
  }
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});


describe('a path', () => {
  it.each(['with spaces', 'what?', 'set#1', 'a:b', '100%', 'ünï cödé', "it's", 'x&y=z', 'a+b', '[0]', 'set?v=2/inner'])(
    'may be "%s": read, checked, converted, and parts of it chosen',
    async (name) => {
      const root = path.join(folder, name);
      await cp(plain, root, { recursive: true });
      for (const [uri, backend] of [[root, 'node-av'], [`local:${root}`, 'wasm'], [pathToFileURL(root).href, undefined]] as const) {
        const dataset = await openDataset(`${uri}?episodes=1`, { video: { threads: 1, ...(backend === undefined ? {} : { backend }) } });
        expect(dataset.info.frameCount).toBe(4);
        if (backend !== undefined) expect(numberOf((await dataset.images(2, [TOP]))[0]!)).toBe(2);
        await dataset.close();
      }
      expect((await validateDataset(root, { samples: 0 })).ok).toBe(true);
      await convertDataset(`${root}?episodes=1`, `${root} v3`, { video: { threads: 1 } });
      await (await openDataset(`${root} v3`)).close();
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

  it('whose name reads as a choice of episodes is proposed where nothing is there without it', async () => {
    const named = path.join(folder, 'named?episodes=1');
    await cp(plain, named, { recursive: true });
    const error: { readonly code?: string; readonly hint?: string } = await openDataset(named).then(() => ({}), (reason: unknown) => reason as object);
    expect(error.code).toBe('DATASET_NOT_FOUND');
    const address = /file:\/\/\S+(?=\.$)/.exec(error.hint!)![0];
    await (await openDataset(address)).close();
  });

  it('with a colon is one after ./ or local:', () => {
    expect(parseDatasetUri('./robot:set')).toMatchObject({ scheme: 'local', path: './robot:set' });
    expect(parseDatasetUri('local:robot:set')).toMatchObject({ scheme: 'local', path: 'robot:set' });
  });
});

import { copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Random, type RgbImage } from '@zk0/core';
import { rewriteTable, truncate, type Row } from './parquet-tables.ts';
import { CAMERA, type Episode } from './sound-set.ts';

/** The episode that is damaged, where one is. */
export const DAMAGED = 5;

/** One kind of damage: of what is recorded, or of the files. */
export type Damage =
  | { readonly name: string; readonly episodes: (episodes: Episode[]) => void }
  | { readonly name: string; readonly files: (root: string) => Promise<void> };

const DATA = 'data/chunk-000/file-000.parquet';
const EPISODE_LIST = 'meta/episodes/chunk-000/file-000.parquet';
const VIDEO = `videos/${CAMERA}/chunk-000/file-000.mp4`;

const one = (name: string, change: (episode: Episode) => void): Damage => ({
  name,
  episodes: (episodes) => {
    change(episodes[DAMAGED]!);
  },
});
const rows = (name: string, change: (row: Row, frame: number) => Row | readonly Row[] | null, episode: number | null = DAMAGED): Damage => ({
  name,
  files: (root) =>
    rewriteTable(path.join(root, DATA), (all) =>
      all.flatMap((row) => (episode !== null && Number(row['episode_index']) !== episode ? [row] : (change(row, Number(row['frame_index'])) ?? []))),
    ),
});
const listed = (name: string, change: (row: Row) => void, episode: number | null = DAMAGED): Damage => ({
  name,
  files: (root) =>
    rewriteTable(path.join(root, EPISODE_LIST), (all) => {
      for (const row of all) if (episode === null || Number(row['episode_index']) === episode) change(row);
      return all;
    }),
});
const json = (name: string, file: string, change: (value: Info) => void): Damage => ({
  name,
  files: async (root) => {
    const value = JSON.parse(await readFile(path.join(root, file), 'utf8')) as Parameters<typeof change>[0];
    change(value);
    await writeFile(path.join(root, file), JSON.stringify(value));
  },
});
const removed = (name: string, file: string): Damage => ({ name, files: (root) => rm(path.join(root, file)) });

interface Info {
  [key: string]: unknown;
  features: Record<string, { dtype: string; shape: number[]; names: unknown }>;
}

const all = (name: string, episodes: (all: Episode[]) => void): Damage => ({ name, episodes });
const files = (name: string, change: (root: string) => Promise<void>): Damage => ({ name, files: change });

const still = (values: number[][], from: number, to: number): void => {
  for (let frame = from + 1; frame < to; frame++) values[frame] = [...values[from]!];
};
const joint = (values: number[][], index: number, change: (value: number, frame: number) => number): void => {
  values.forEach((row, frame) => (row[index] = change(row[index]!, frame)));
};
const filled = (image: RgbImage, value: number): RgbImage => ({ ...image, data: new Uint8Array(image.data.length).fill(value) });

function blurred({ width, height, data }: RgbImage): RgbImage {
  const into = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        let [sum, count] = [0, 0];
        for (let dy = -6; dy <= 6; dy++) {
          for (let dx = -6; dx <= 6; dx++) {
            if (x + dx < 0 || y + dy < 0 || x + dx >= width || y + dy >= height) continue;
            sum += data[((y + dy) * width + x + dx) * 3 + c]!;
            count++;
          }
        }
        into[(y * width + x) * 3 + c] = sum / count;
      }
    }
  }
  return { width, height, data: into };
}

/** Every kind of damage that is tried. */
export const DAMAGES: readonly Damage[] = [
  one('the arm stands while its leader moves', ({ state }) => { still(state, 20, state.length); }),
  one('one joint stands while its leader moves', ({ state }) => { joint(state, 2, () => 42); }),
  one('one joint and its leader stand', ({ state, action }) => { for (const values of [state, action]) joint(values, 2, () => 42); }),
  one('a joint jumps for a frame', ({ state }) => { joint(state, 2, (value, frame) => (frame === 40 ? value + 70 : value)); }),
  one('all actions jump for a frame', ({ action }) => { action[40] = action[40]!.map((value) => value + 150); }),
  one('an encoder wraps', ({ state }) => { joint(state, 4, (value, frame) => (frame >= 40 ? value - 360 : value)); }),
  one('a joint saturates', ({ state }) => { joint(state, 1, (value) => Math.max(value, -60)); }),
  one('an action saturates', ({ action }) => { joint(action, 1, (value) => Math.max(value, -55)); }),
  one('the gripper is stuck while its leader moves', ({ state }) => { joint(state, 5, () => 12); }),
  one('gripper and its leader never move', ({ state, action }) => { for (const values of [state, action]) joint(values, 5, () => 12); }),
  one('the arm idles', ({ state, action }) => { for (const values of [state, action]) still(values, 15, values.length); }),
  one('rows repeat: 20 frames of the states', ({ state }) => { still(state, 30, 51); }),
  one('actions repeat: 15 frames', ({ action }) => { still(action, 30, 46); }),
  one('every fourth row repeats the one before', ({ state, action }) => { for (const values of [state, action]) for (let k = 4; k < values.length; k += 4) values[k] = [...values[k - 1]!]; }),
  one('actions in radians', ({ action }) => { for (const row of action) row.forEach((value, i) => (row[i] = (value * Math.PI) / 180)); }),
  one('two joints are exchanged in the states', ({ state }) => { for (const row of state) [row[0], row[1]] = [row[1]!, row[0]!]; }),
  all('leader and follower are 8° apart', (all) => { for (const { action } of all) joint(action, 1, (value) => value + 8); }),
  one('a value is misread', ({ action }) => { joint(action, 3, (value, frame) => (frame === 33 ? 3000 : value)); }),
  one('an episode is three times as long', (episode) => { for (const key of ['state', 'action', 'images'] as const) (episode[key] as unknown[]) = [...episode[key], ...episode[key].toReversed(), ...episode[key]]; }),
  one('an episode has eight frames', (episode) => { for (const key of ['state', 'action', 'images'] as const) episode[key].length = 8; }),
  all('an episode is there twice', (all) => { all[DAMAGED] = structuredClone(all[2]!); }),
  all('an episode is there twice, with noise', (all) => {
    const random = new Random('noise');
    const copy = structuredClone(all[2]!);
    for (const values of [copy.state, copy.action]) for (const row of values) row.forEach((value, i) => (row[i] = value + 0.2 * (random.uniform() - 0.5)));
    all[DAMAGED] = copy;
  }),
  all('all episodes show one movement', (all) => {
    const [first] = all.map(({ state, action }) => ({ state, action }));
    for (const [i, episode] of all.entries()) {
      for (const key of ['state', 'action'] as const) episode[key] = first![key].map((row) => row.map((value, k) => value + Math.sin(i + k)));
      episode.images = episode.state.map((_, k) => episode.images[Math.min(k, episode.images.length - 1)]!);
    }
  }),
  all('a calibration changes half-way', (all) => { for (const { state, action } of all.slice(12)) for (const values of [state, action]) joint(values, 0, (value) => value + 90); }),
  all('a joint is not used', (all) => { for (const { state, action } of all) for (const values of [state, action]) joint(values, 4, (_, frame) => (frame < 70 ? 5 : 6)); }),
  all('a joint never moves in the set', (all) => { for (const { state, action } of all) for (const values of [state, action]) joint(values, 4, () => 5); }),
  all('a task is rare', (all) => { all[DAMAGED]!.task = 'Lift the can.'; }),
  files('the task is empty', (root) => rewriteTable(path.join(root, 'meta/tasks.parquet'), (all) => all.map((row) => ({ ...row, ['task' in row ? 'task' : '__index_level_0__']: ' ' })))),
  all('the task is a placeholder', (all) => { for (const episode of all) episode.task = 'test'; }),
  one('the camera is black', (episode) => { episode.images = episode.images.map((image) => filled(image, 0)); }),
  one('the camera is black for 8 frames', (episode) => { for (let k = 30; k < 38; k++) episode.images[k] = filled(episode.images[k]!, 0); }),
  one('the camera is white', (episode) => { episode.images = episode.images.map((image) => filled(image, 252)); }),
  one('the camera hangs', (episode) => { episode.images = episode.images.map(() => episode.images[0]!); }),
  one('the camera hangs for 15 frames', (episode) => { for (let k = 30; k < 45; k++) episode.images[k] = episode.images[29]!; }),
  one('the camera is out of focus', (episode) => { episode.images = episode.images.map(blurred); }),
  rows('two frames are dropped', (row, frame) => ({ ...row, timestamp: Number(row['timestamp']) + (frame >= 40 ? 2 / 30 : 0) })),
  rows('time runs backwards', (row, frame) => ({ ...row, timestamp: Number(row['timestamp']) - (frame === 40 ? 0.1 : 0) })),
  rows('times are uneven by 20 ms', (row, frame) => ({ ...row, timestamp: Number(row['timestamp']) + (frame % 2) * 0.02 })),
  rows('a clock drifts by half a millisecond a frame', (row, frame) => ({ ...row, timestamp: Number(row['timestamp']) + frame * 0.0005 })),
  rows('times are of another frame rate', (row) => ({ ...row, timestamp: Number(row['timestamp']) * 1.15 }), null),
  rows('frame_index skips', (row, frame) => ({ ...row, frame_index: BigInt(frame + (frame >= 40 ? 1 : 0)) })),
  rows('index is not sequential', (row) => ({ ...row, index: BigInt(Number(row['index']) + 7) })),
  rows('rows are there twice', (row) => [row, { ...row }]),
  rows('rows are missing', (row, frame) => (frame > 60 ? null : row)),
  rows('an action is NaN', (row, frame) => (frame === 40 ? { ...row, action: Array.from(row['action'] as number[], (value, i) => (i === 2 ? NaN : value)) } : row)),
  rows('a state is infinite', (row, frame) => (frame === 40 ? { ...row, 'observation.state': Array.from(row['observation.state'] as number[], (value, i) => (i === 2 ? Infinity : value)) } : row)),
  rows('a row has five of six values', (row, frame) => (frame === 40 ? { ...row, action: Array.from(row['action'] as number[]).slice(0, 5) } : row)),
  rows('a task number is not listed', (row) => ({ ...row, task_index: 9n })),
  json('total_frames is wrong', 'meta/info.json', (info) => { info['total_frames'] = 1234; }),
  json('total_episodes is wrong', 'meta/info.json', (info) => { info['total_episodes'] = 23; }),
  json('total_tasks is wrong', 'meta/info.json', (info) => { info['total_tasks'] = 3; }),
  json('fps is wrong', 'meta/info.json', (info) => { info['fps'] = 60; }),
  json('a declared feature is not stored', 'meta/info.json', ({ features }) => { features['next.done'] = { dtype: 'bool', shape: [1], names: null }; }),
  json('a declared type is not the stored one', 'meta/info.json', ({ features }) => { features['action']!.dtype = 'float64'; }),
  json('a feature has five names of six values', 'meta/info.json', ({ features }) => { features['action']!.names = ['a', 'b', 'c', 'd', 'e']; }),
  json('a declared shape is not the stored one', 'meta/info.json', ({ features }) => { features['action']!.shape = [7]; }),
  json('the camera has another size', 'meta/info.json', ({ features }) => { features[CAMERA]!.shape = [48, 64, 3]; }),
  json('info.json has no fps', 'meta/info.json', (info) => { Reflect.deleteProperty(info, 'fps'); }),
  json('info.json has no action', 'meta/info.json', ({ features }) => { Reflect.deleteProperty(features, 'action'); }),
  json('data_path is absolute', 'meta/info.json', (info) => { info['data_path'] = '/data/file-{file_index:03d}.parquet'; }),
  json('the version is not known', 'meta/info.json', (info) => { info['codebase_version'] = 'v9.0'; }),
  removed('info.json is missing', 'meta/info.json'),
  removed('the list of episodes is missing', EPISODE_LIST),
  removed('the table of tasks is missing', 'meta/tasks.parquet'),
  removed('the statistics are missing', 'meta/stats.json'),
  removed('the rows are missing', DATA),
  removed('the video is missing', VIDEO),
  files('the rows are cut off', (root) => truncate(path.join(root, DATA), 0.6)),
  files('the video is cut off', (root) => truncate(path.join(root, VIDEO), 0.6)),
  files('bytes of the video are wrong', async (root) => {
    const file = path.join(root, VIDEO);
    const bytes = await readFile(file);
    const random = new Random('video');
    const media = bytes.indexOf('mdat');
    for (let i = 0; i < 4000; i++) bytes[media + 4000 + random.below(Math.floor(bytes.length / 2))] = random.below(256);
    await writeFile(file, bytes);
  }),
  files('the list of episodes is cut off', (root) => truncate(path.join(root, EPISODE_LIST), 0.6)),
  files('the rows are a pointer of git-lfs', (root) => writeFile(path.join(root, DATA), `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 1234\n`)),
  files('the statistics are no JSON', (root) => writeFile(path.join(root, 'meta/stats.json'), '{"action": ')),
  json('a mean in the statistics is wrong', 'meta/stats.json', (stats) => { (stats['action'] as { mean: number[] }).mean[1]! += 10; }),
  json('a spread in the statistics is zero', 'meta/stats.json', (stats) => { (stats['action'] as { std: number[] }).std[1] = 0; }),
  listed('an episode’s length is wrong', (row) => { row['length'] = BigInt(Number(row['length']) + 4); }),
  listed('an episode’s range of rows is wrong', (row) => { row['dataset_from_index'] = BigInt(Number(row['dataset_from_index']) + 3); }),
  listed('an episode’s statistics are wrong', (row) => { row['stats/action/mean'] = Array.from(row['stats/action/mean'] as number[], (value) => value + 10); }),
  listed('stretches of the video overlap', (row) => { row[`videos/${CAMERA}/from_timestamp`] = Number(row[`videos/${CAMERA}/from_timestamp`]) - 1; }),
  files('an episode is listed twice', (root) => rewriteTable(path.join(root, EPISODE_LIST), (all) => [...all, { ...all[DAMAGED]! }])),
  files('a data file belongs to no episode', async (root) => { await mkdir(path.join(root, 'data/chunk-001')); await copyFile(path.join(root, DATA), path.join(root, 'data/chunk-001/file-000.parquet')); }),
  files('data/ holds another file', (root) => writeFile(path.join(root, 'data/chunk-000/notes.txt'), 'notes')),
  files('data/ holds a link', (root) => symlink('file-000.parquet', path.join(root, 'data/chunk-000/link.parquet'))),
];

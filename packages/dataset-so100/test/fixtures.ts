import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { SchemaElement } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';

/** A dataset to write, layout by layout, as LeRobot's own recorders and home-made ones do. */
export interface FixtureOptions {
  readonly version: 'v2.0' | 'v2.1' | 'v3.0';
  /** Frames of each episode. */
  readonly lengths: readonly number[];
  readonly fps?: number;
  /** Episodes a chunk folder (v2). */
  readonly chunksSize?: number;
  /** Episodes a data or video file (v3.0). */
  readonly episodesPerFile?: number;
  readonly cameras?: readonly string[];
  /** Cameras that keep pictures in rows, of {@link PICTURE_SIZE}: the cells of all frames, one episode after the other. */
  readonly pictures?: Readonly<Record<string, readonly ImageCell[]>>;
  /** Recorded episode numbers; default 0, 1, 2 … */
  readonly numbers?: readonly number[];
}

export const PICTURE_SIZE = { width: 16, height: 12 } as const;

/** The value that a fixture records as state at a frame: episode number and position can be told from it. */
export function stateAt(episode: number, position: number): number[] {
  return [episode, position];
}

/** Writes a whole dataset; videos have true tables (size, codec, frame count) and no pictures. */
export async function writeFixture(root: string, options: FixtureOptions): Promise<void> {
  const { version, lengths, fps = 10, chunksSize = 1000, episodesPerFile = 2, cameras = ['observation.images.top'], pictures = {} } = options;
  const numbers = options.numbers ?? lengths.map((_, episode) => episode);
  const isV3 = version === 'v3.0';
  const info = {
    codebase_version: version,
    robot_type: 'so101',
    total_episodes: lengths.length,
    total_frames: lengths.reduce((sum, length) => sum + length, 0),
    total_tasks: 2,
    chunks_size: chunksSize,
    fps,
    data_path: isV3
      ? 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
      : 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
    video_path: isV3
      ? 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'
      : 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4',
    features: {
      'observation.state': { dtype: 'float32', shape: [2], names: ['a', 'b'] },
      action: { dtype: 'float32', shape: [2], names: { motors: ['a', 'b'] } },
      ...Object.fromEntries(cameras.map((key) => [key, { dtype: 'video', shape: [8, 16, 3], names: ['height', 'width', 'channels'] }])),
      ...Object.fromEntries(
        Object.keys(pictures).map((key) => [
          key,
          { dtype: 'image', shape: [PICTURE_SIZE.height, PICTURE_SIZE.width, 3], names: ['height', 'width', 'channels'] },
        ]),
      ),
    },
  };
  await put(root, 'meta/info.json', JSON.stringify(info));
  const tasks = ['push', 'pull'];
  const groups = new Map<string, number[]>();
  lengths.forEach((_, i) => {
    const file = isV3 ? Math.floor(i / episodesPerFile) : numbers[i]!;
    const chunk = isV3 ? 0 : Math.floor(file / chunksSize);
    const name = isV3 ? `chunk-000/file-${pad(file, 3)}` : `chunk-${pad(chunk, 3)}/episode_${pad(file, 6)}`;
    groups.set(name, [...(groups.get(name) ?? []), i]);
  });
  let index = 0;
  for (const [name, members] of groups) {
    const rows = members.flatMap((i) => Array.from({ length: lengths[i]! }, (_, position) => ({ episode: numbers[i]!, position, index: index++ })));
    const inRows = Object.entries(pictures).map(([key, cells]) => imageColumn(key, rows.map((row) => cells[row.index]!)));
    await put(root, `data/${name}.parquet`, frameParquet(rows.map((row) => ({ ...row, timestamp: row.position / fps, task: row.episode % 2 })), inRows));
    for (const key of cameras) {
      const file = isV3 ? `videos/${key}/${name}.mp4` : `videos/${name.replace('/', `/${key}/`)}.mp4`;
      await put(root, file, fakeMp4({ frames: rows.length, width: 16, height: 8 }));
    }
  }
  if (isV3) {
    const from = (i: number): number => {
      const first = Math.floor(i / episodesPerFile) * episodesPerFile;
      return lengths.slice(first, i).reduce((sum, length) => sum + length, 0) / fps;
    };
    const files = numbers.map((_, i) => BigInt(Math.floor(i / episodesPerFile)));
    const zeros = numbers.map(() => 0n);
    await put(root, 'meta/episodes/chunk-000/file-000.parquet', parquet([
      column('episode_index', 'INT64', numbers.map(BigInt)),
      column('length', 'INT64', lengths.map(BigInt)),
      column('data/chunk_index', 'INT64', zeros),
      column('data/file_index', 'INT64', files),
      listColumn('tasks', 'BYTE_ARRAY', numbers.map((number) => [tasks[number % 2]!])),
      ...cameras.flatMap((key) => [
        column(`videos/${key}/chunk_index`, 'INT64', zeros),
        column(`videos/${key}/file_index`, 'INT64', files),
        column(`videos/${key}/from_timestamp`, 'DOUBLE', numbers.map((_, i) => from(i))),
        column(`videos/${key}/to_timestamp`, 'DOUBLE', numbers.map((_, i) => from(i) + lengths[i]! / fps)),
      ]),
    ]));
    await put(root, 'meta/tasks.parquet', parquet([column('task_index', 'INT64', [0n, 1n]), column('__index_level_0__', 'BYTE_ARRAY', tasks)]));
  } else {
    const episodes = numbers.map((number, i) => ({ episode_index: number, tasks: [tasks[number % 2]], length: lengths[i] }));
    await put(root, 'meta/episodes.jsonl', episodes.map((row) => `${JSON.stringify(row)}\n`).join(''));
    await put(root, 'meta/tasks.jsonl', tasks.map((task, i) => `${JSON.stringify({ task_index: i, task })}\n`).join(''));
  }
}

/** One row of a data file. `null` columns are left out. */
export interface FixtureRow {
  readonly episode: number;
  readonly position: number;
  readonly index: number;
  readonly timestamp: number;
  readonly task: number;
  readonly state?: readonly number[];
  readonly action?: readonly number[];
}

/** A data file of LeRobot's columns. */
export function frameParquet(rows: readonly FixtureRow[], more: readonly Column[] = []): Uint8Array {
  return parquet([
    ...more,
    listColumn('observation.state', 'FLOAT', rows.map((row) => [...(row.state ?? stateAt(row.episode, row.position))])),
    listColumn('action', 'FLOAT', rows.map((row) => [...(row.action ?? stateAt(row.episode, row.position))])),
    column('timestamp', 'FLOAT', rows.map((row) => row.timestamp)),
    column('frame_index', 'INT64', rows.map((row) => BigInt(row.position))),
    column('episode_index', 'INT64', rows.map((row) => BigInt(row.episode))),
    column('index', 'INT64', rows.map((row) => BigInt(row.index))),
    column('task_index', 'INT64', rows.map((row) => BigInt(row.task))),
  ]);
}

interface Column {
  readonly name: string;
  readonly data: readonly unknown[];
  readonly schema: readonly SchemaElement[];
}

export function column(name: string, type: 'FLOAT' | 'DOUBLE' | 'INT64' | 'BYTE_ARRAY', data: readonly unknown[]): Column {
  return { name, data, schema: [leaf(name, type)] };
}

export function listColumn(name: string, type: 'FLOAT' | 'DOUBLE' | 'BYTE_ARRAY', data: readonly unknown[][]): Column {
  return {
    name,
    data,
    schema: [
      { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      leaf('element', type),
    ],
  };
}

/** What a row holds of a camera of dtype `image`. */
export interface ImageCell {
  readonly bytes: Uint8Array | null;
  readonly path: string | null;
}

/** A column of `{bytes, path}`, as LeRobot keeps pictures in rows. */
export function imageColumn(name: string, data: readonly ImageCell[]): Column {
  return {
    name,
    data: data.map(({ bytes, path: file }) => ({ bytes: bytes === null ? null : new Uint8Array(bytes), path: file })),
    schema: [
      { name, repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      leaf('path', 'BYTE_ARRAY'),
    ],
  };
}

export function parquet(columns: readonly Column[]): Uint8Array {
  const schema = [{ name: 'schema', num_children: columns.length }, ...columns.flatMap((one) => one.schema)];
  return new Uint8Array(parquetWriteBuffer({ columnData: columns.map(({ name, data }) => ({ name, data: [...data] })), schema }));
}

function leaf(name: string, type: SchemaElement['type'] & string): SchemaElement {
  return { name, type, repetition_type: 'OPTIONAL', ...(type === 'BYTE_ARRAY' ? { converted_type: 'UTF8' as const } : {}) };
}

/** An MP4 with true tables of a video track and a few bytes of nothing for its pictures. */
export function fakeMp4(video: { readonly frames: number; readonly width: number; readonly height: number; readonly codec?: string }): Buffer {
  const entry = Buffer.alloc(78);
  entry.writeUInt16BE(video.width, 24);
  entry.writeUInt16BE(video.height, 26);
  const description = box('stsd', u32(0), u32(1), box(video.codec ?? 'avc1', entry));
  const sizes = box('stsz', u32(0), u32(1), u32(video.frames));
  const handler = box('hdlr', u32(0), u32(0), Buffer.from('vide'), Buffer.alloc(12));
  const moov = box('moov', box('trak', box('mdia', handler, box('minf', box('stbl', description, sizes)))));
  return Buffer.concat([box('ftyp', Buffer.from('isom')), moov, box('mdat', Buffer.alloc(video.frames, 1))]);
}

function box(type: string, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([u32(body.length + 8), Buffer.from(type), body]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0');
}

/** Writes a file of a dataset, making its folders. */
export async function put(root: string, file: string, content: string | Uint8Array): Promise<void> {
  const target = path.join(root, file);
  await mkdir(path.dirname(target), { recursive: true });
  await writeFile(target, content);
}

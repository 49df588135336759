import { deriveSeed, Random, type ActionChunk, type RgbImage, type RobotDataset } from '@zk0/core';
import { momentsOf } from '@zk0/dataset-so100';
import { demoTasks, DemoView, DemoWorld, Expert, type DemoTask, type Surroundings, type Thing } from '@zk0/demo-so100';

/** Frames taken from every episode. */
const FRAMES_PER_EPISODE = 8;
/** Two of three episodes are of this task, the rest are of all tasks in turn. */
const MAIN_TASK = 'cube-to-bowl';
const FPS = 5;
const SIZE = { width: 128, height: 96 } as const;
/** Names of what the model learns to say: where target and goal are on the table, and where the target is from the hand, in millimetres. */
const ANSWERS = ['target.x', 'target.y', 'target.z', 'goal.x', 'goal.y', 'hand.x', 'hand.y', 'hand.z'] as const;

interface Frame {
  readonly state: Float32Array;
  readonly answer: Float32Array;
  readonly images: readonly RgbImage[];
  readonly task: string;
}

/** What the arm does in the frames; what is left over of 1 are moments of the expert's work on what lies there. */
export interface FrameShares {
  /** Share of the frames in which the arm rests, as before it begins. */
  readonly atRest: number;
  /**
   * Share of the frames in which the arm moves for another layout than the one that is seen. Where an arm is on its way says where the
   * target lies, and a model that can read it there does not learn to see it.
   */
  readonly otherLayout: number;
}

/** Frames of the demo world with random layouts, lights, colours and camera positions, each an episode of its own. */
export async function makeFrames(count: number, seed: string, shares: FrameShares, onProgress: (made: number) => void): Promise<RobotDataset> {
  const worlds = await Promise.all(demoTasks.map(({ name }) => DemoWorld.create({ task: name, fps: FPS, ...SIZE })));
  const main = demoTasks.findIndex(({ name }) => name === MAIN_TASK);
  const frames: Frame[] = [];
  for (let episode = 0; frames.length < count; episode++) {
    const index = episode % 3 === 0 ? (episode / 3) % demoTasks.length : main;
    frames.push(...episodeFrames(worlds[index]!, deriveSeed(seed, 'episode', episode), shares));
    if (episode % 50 === 0) onProgress(frames.length);
  }
  for (const world of worlds) world.close();
  return datasetOf(frames.slice(0, count), `${seed}-${count}-${shares.atRest}-${shares.otherLayout}`);
}

function episodeFrames(world: DemoWorld, seed: string, { atRest, otherLayout }: FrameShares): Frame[] {
  const random = new Random(seed);
  const { task } = world;
  const view = new DemoView(jitteredSurroundings(task.surroundings, random), SIZE.width, SIZE.height);
  const tint = jitteredColors(task, random);
  const frameOf = (things: readonly Thing[]): Frame => ({
    state: Float32Array.from(world.state()),
    answer: answerOf(world, things),
    images: Object.values(view.render(world.links(), things.map((thing, index) => ({ ...thing, color: tint[index]! })))).map(halved),
    task: task.text,
  });
  const frames: Frame[] = [];
  const moving: { readonly moment: number; readonly things: readonly Thing[] | undefined }[] = [];
  for (let index = 0; index < FRAMES_PER_EPISODE; index++) {
    const kind = random.uniform();
    if (kind < atRest + otherLayout) world.reset(deriveSeed(seed, 'layout', index));
    if (kind < atRest) frames.push(frameOf(world.things()));
    else moving.push({ moment: random.uniform(), things: kind < atRest + otherLayout ? world.things() : undefined });
  }
  if (moving.length === 0) return frames;
  world.reset(deriveSeed(seed, 'layout'));
  const expert = new Expert(world, deriveSeed(seed, 'expert'));
  const { length } = expert;
  for (let step = 0; ; step++) {
    for (const { moment, things } of moving) if (Math.floor(moment * length) === step) frames.push(frameOf(things ?? world.things()));
    const action = expert.next();
    if (action === undefined) return frames;
    world.act(action);
  }
}

/** Link that carries the fixed finger. */
const HAND = 5;

function answerOf(world: DemoWorld, things: readonly Thing[]): Float32Array {
  const [target, second] = things;
  const at = target!.pose.origin;
  const goal = (world.task.action.kind === 'place' ? second! : target!).pose.origin;
  const hand = world.links()[HAND]!;
  const offset = at.map((value, axis) => value - hand.origin[axis]!);
  const along = [hand.x, hand.y, hand.z].map((axis) => axis[0] * offset[0]! + axis[1] * offset[1]! + axis[2] * offset[2]!);
  return Float32Array.from([...at, goal[0], goal[1], ...along].map((metres) => metres * 1000));
}

type Color = Surroundings['wall'];

function jitteredColor(color: Color, random: Random, by: number): Color {
  const gain = 1 + 0.25 * (random.uniform() - 0.5);
  return color.map((value) => Math.min(255, Math.max(0, Math.round(value * gain + by * (2 * random.uniform() - 1))))) as unknown as Color;
}

function jitteredColors(task: DemoTask, random: Random): Color[] {
  const goal = task.action.kind === 'place' ? [task.action.goal] : [];
  return [task.target, ...goal, ...task.clutter].map(({ color }) => jitteredColor(color, random, 12));
}

function jitteredSurroundings(surroundings: Surroundings, random: Random): Surroundings {
  const { table, wall, arm, light, camera } = surroundings;
  const shift = (by: number) => (value: number): number => value + by * (2 * random.uniform() - 1);
  const [even, odd] = table.colors;
  return {
    table: { ...table, colors: [jitteredColor(even, random, 8), jitteredColor(odd, random, 8)] },
    wall: jitteredColor(wall, random, 16),
    arm: jitteredColor(arm, random, 12),
    light: light.map(shift(0.2)) as unknown as Surroundings['light'],
    camera: camera.map(shift(0.006)) as unknown as Surroundings['camera'],
  };
}

/** Half the size by averaging blocks of 2 × 2: what the policy's own resizing makes of a picture of twice its width. */
function halved({ width, height, data }: RgbImage): RgbImage {
  const [w, h] = [width / 2, height / 2];
  const out = new Uint8Array(w * h * 3);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      for (let c = 0; c < 3; c++) {
        const p = (2 * y * width + 2 * x) * 3 + c;
        out[(y * w + x) * 3 + c] = (data[p]! + data[p + 3]! + data[p + width * 3]! + data[p + width * 3 + 3]! + 2) >> 2;
      }
    }
  }
  return { width: w, height: h, data: out };
}

function datasetOf(frames: readonly Frame[], name: string): RobotDataset {
  const flat = (of: (frame: Frame) => Float32Array): Float32Array => {
    const size = of(frames[0]!).length;
    const values = new Float32Array(frames.length * size);
    frames.forEach((frame, index) => {
      values.set(of(frame), index * size);
    });
    return values;
  };
  const stateNames = Array.from({ length: 6 }, (_, joint) => `joint${joint}`);
  return {
    info: {
      name,
      uri: name,
      contentHash: name,
      robotType: 'so100_follower',
      fps: FPS,
      frameCount: frames.length,
      stateNames,
      actionNames: ANSWERS,
      cameras: ['observation.images.top', 'observation.images.wrist'].map((key) => ({ key, width: SIZE.width / 2, height: SIZE.height / 2 })),
      episodes: frames.map((_, index) => ({ episodeIndex: index, from: index, to: index + 1 })),
      tasks: [...new Set(frames.map(({ task }) => task))],
      moments: {
        state: momentsOf(flat(({ state }) => state), 6),
        action: momentsOf(flat(({ answer }) => answer), ANSWERS.length),
      },
    },
    state: (frame) => frames[frame]!.state.slice(),
    actionChunk: (frame, length): ActionChunk => {
      const actions = new Float32Array(length * ANSWERS.length);
      for (let step = 0; step < length; step++) actions.set(frames[frame]!.answer, step * ANSWERS.length);
      const isPad = new Uint8Array(length).fill(1);
      isPad[0] = 0;
      return { actions, isPad };
    },
    task: (frame) => frames[frame]!.task,
    images: (frame) => Promise.resolve(frames[frame]!.images),
    close: () => Promise.resolve(),
  };
}

import { Random } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JOINT_LIMITS, toRecordedUnits, type JointAngles } from '../arm/so100.ts';
import { demoTasks, findTask, type DemoTask } from '../tasks/demo-tasks.ts';
import { placesOf } from '../tasks/places.ts';
import { DemoWorld } from './demo-world.ts';
import { Expert } from './expert.ts';

const FPS = 5;
/** Of the expert: 20 where there is time (`npx nx run-many -t test-long`). */
const TRIALS = process.env['ZK0_TESTS'] === 'long' ? 20 : 8;
const LOWER = toRecordedUnits(JOINT_LIMITS.map(({ lower }) => lower) as unknown as JointAngles);
const UPPER = toRecordedUnits(JOINT_LIMITS.map(({ upper }) => upper) as unknown as JointAngles);

/** The next action, or undefined to stop. */
type Controller = () => readonly number[] | undefined;

function trial(world: DemoWorld, seed: string, control: (world: DemoWorld) => Controller): boolean {
  world.reset(seed);
  const next = control(world);
  for (let step = 0; step < world.info.maxSteps && !world.success(); step++) {
    const action = next();
    if (action === undefined) break;
    world.act(action);
  }
  return world.success();
}

const expert = (seed: string) => (world: DemoWorld): Controller => {
  const arm = new Expert(world, seed);
  return () => arm.next();
};

function motionless(world: DemoWorld): Controller {
  const rest = world.state();
  return () => rest;
}

/** A walk that starts where the arm is. */
const wandering = (seed: string) => (world: DemoWorld): Controller => {
  const random = new Random(seed);
  let action: readonly number[] = world.state();
  return () => (action = action.map((value) => value + 8 * random.normal()));
};

/** Anywhere within the limits, anew in every frame. */
const thrashing = (seed: string) => (): Controller => {
  const random = new Random(seed);
  return () => LOWER.map((lower, joint) => lower + random.uniform() * (UPPER[joint]! - lower));
};

/** What became of the expert's trials, of all tasks. */
const byExpert: boolean[] = [];

describe.each(demoTasks)('$name', ({ name }) => {
  let world: DemoWorld;
  beforeAll(async () => {
    world = await DemoWorld.create({ task: name, fps: FPS });
  });
  afterAll(() => {
    world.close();
  });

  it(`is done by the expert in ${TRIALS - 1} trials of ${TRIALS} at least`, () => {
    const done = Array.from({ length: TRIALS }, (_, k) => trial(world, `expert-${k}`, expert(`hand-${k}`)));
    byExpert.push(...done);
    expect(done.filter(Boolean).length).toBeGreaterThanOrEqual(TRIALS - 1);
  });

  it('is never done by an arm that does not move, or moves at random', () => {
    for (let k = 0; k < 3; k++) {
      expect(trial(world, `rest-${k}`, motionless), `rest ${k}`).toBe(false);
      expect(trial(world, `walk-${k}`, wandering(`walk-${k}`)), `walk ${k}`).toBe(false);
      expect(trial(world, `thrash-${k}`, thrashing(`thrash-${k}`)), `thrash ${k}`).toBe(false);
    }
  });
});

it('the expert does 95 % of all trials at least', () => {
  expect(byExpert.filter(Boolean).length).toBeGreaterThanOrEqual(0.95 * byExpert.length);
});

describe('DemoWorld', () => {
  const worlds: DemoWorld[] = [];
  const open = async (task: string, place?: string): Promise<DemoWorld> => {
    const world = await DemoWorld.create({ task, fps: FPS, width: 64, height: 48, ...(place === undefined ? {} : { place }) });
    worlds.push(world);
    return world;
  };
  afterAll(() => {
    for (const world of worlds) world.close();
  });

  it('repeats a trial to the byte, in the same world and in another, and differs by seed', async () => {
    const [first, second] = [await open('cube-to-bowl'), await open('cube-to-bowl')];
    const record = (world: DemoWorld, seed: string): string => {
      world.reset(seed);
      const arm = new Expert(world, seed);
      const seen: unknown[] = [];
      for (let action = arm.next(); action !== undefined; action = arm.next()) {
        world.act(action);
        seen.push(action, world.state(), world.things().map(({ pose }) => pose));
      }
      return JSON.stringify([seen, Object.values(world.observe().images).map(({ data }) => Buffer.from(data).toString('base64'))]);
    };
    const one = record(first, 'a');
    expect(record(first, 'b') === one).toBe(false);
    expect(record(first, 'a') === one).toBe(true);
    expect(record(second, 'a') === one).toBe(true);
  });

  it('lays the target out at the place it is restricted to', async () => {
    const task = findTask('cube-to-bowl');
    expect(placesOf(task)).toEqual(['right', 'middle', 'left']);
    const means: number[] = [];
    for (const place of placesOf(task)) {
      const world = await open(task.name, place);
      const ys = Array.from({ length: 10 }, (_, k) => {
        world.reset(`place-${k}`);
        return world.things()[0]!.pose.origin[1];
      });
      expect(Math.max(...ys) - Math.min(...ys)).toBeLessThan(0.02);
      means.push(ys.reduce((sum, y) => sum + y) / ys.length);
    }
    expect(means[1]! - means[0]!).toBeGreaterThan(0.06);
    expect(means[2]! - means[1]!).toBeGreaterThan(0.06);
  });

  it('counts actions beyond the limits as clamped and never leaves them', async () => {
    const world = await open('cube-to-bowl');
    world.reset('limits');
    expect(world.act(world.state())).toEqual({ clamped: false });
    for (let step = 0; step < 10; step++) {
      expect(world.act(UPPER.map((value) => value + 30))).toEqual({ clamped: true });
      world.state().forEach((value, joint) => {
        expect(value).toBeGreaterThanOrEqual(LOWER[joint]! - 1e-9);
        expect(value).toBeLessThanOrEqual(UPPER[joint]! + 1e-9);
      });
    }
  });

  it('does not count a thing that is still in the hand as placed', async () => {
    const world = await open('cube-to-bowl', 'middle');
    world.reset('holding');
    const arm = new Expert(world, 'holding');
    let last: number[] | undefined;
    // Until the fingers open over the bowl; then held for the rest of the trial.
    for (let action = arm.next(); action !== undefined && !(last !== undefined && last[5]! < 20 && action[5]! > last[5]! + 3 && world.things()[0]!.pose.origin[2] > 0.01); action = arm.next()) {
      world.act(action);
      last = action;
    }
    for (let step = 0; step < 20; step++) world.act(last!);
    expect(world.success()).toBe(false);
    expect(world.failure()).toBe('timed-out');
  });

  it('counts pointing where the hand stays, not where it comes by', async () => {
    const world = await open('point-at-ball');
    /** The expert until it is over the ball; from then on the hand swings by so many degrees. */
    const pointing = (swing: number) => (at: DemoWorld): Controller => {
      const arm = new Expert(at, 'hand');
      let [over, frame]: [number[], number] = [[], 0];
      return () => {
        if (++frame <= 13) return (over = arm.next()!);
        return over.map((value, joint) => (joint === 0 ? value + (frame % 2 === 0 ? swing : -swing) : value));
      };
    };
    expect(trial(world, 'pointing', pointing(0))).toBe(true);
    expect(trial(world, 'pointing', pointing(5))).toBe(false);
  });

  it('says how a trial failed', async () => {
    const world = await open('cube-to-bowl', 'middle');
    trial(world, 'failure', motionless);
    expect(world.failure()).toBe('not-reached');
    // The whole motion with the fingers closed.
    trial(world, 'failure', (at) => {
      const arm = new Expert(at, 'hand');
      return () => arm.next()?.map((value, joint) => (joint === 5 ? 0 : value));
    });
    expect(world.failure()).toBe('not-grasped');
    // Opens on the way.
    let frame = 0;
    trial(world, 'failure', (at) => {
      const arm = new Expert(at, 'hand');
      return () => arm.next()?.map((value, joint) => (joint === 5 && ++frame > 21 ? 60 : value));
    });
    expect(world.failure()).toBe('dropped');
  });

  it.each([[[1, 2, 3]], [[0, 0, 0, 0, 0, NaN]]])('refuses the action %j', async (action) => {
    const world = await open('cube-to-bowl');
    world.reset('bad');
    expect(() => world.act(action)).toThrow('6 finite numbers');
  });

  it.each([
    [{ task: 'cube' }, 'DEMO_TASK_UNKNOWN'],
    [{ task: 'cube-to-bowl', place: 'moon' }, 'DEMO_TASK_UNKNOWN'],
    [{ task: 'lift-can', place: 'left' }, 'DEMO_TASK_UNKNOWN'],
    [{ task: 'cube-to-bowl', fps: 60 }, 'INVALID_ARGUMENT'],
  ])('refuses %j', async (options, code) => {
    await expect(DemoWorld.create(options)).rejects.toMatchObject({ code });
  });
});

describe('demoTasks', () => {
  it('differ in name, text and surroundings', () => {
    for (const property of ['name', 'text', 'surroundings'] as const satisfies readonly (keyof DemoTask)[]) {
      expect(new Set(demoTasks.map((task) => JSON.stringify(task[property]))).size).toBe(demoTasks.length);
    }
  });
});

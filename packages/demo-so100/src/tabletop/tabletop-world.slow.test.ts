import { Random } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JOINT_LIMITS, toRecordedUnits, type JointAngles } from '../arm/so100.ts';
import { parseEnvhubAddress } from './envhub-address.ts';
import { TabletopWorld } from './tabletop-world.ts';

/** Of the expert: 20 where there is time (`npx nx run-many -t test-long`). */
const TRIALS = process.env['ZK0_TESTS'] === 'long' ? 20 : 3;
const LEAST = TRIALS - 1;
const LOWER = toRecordedUnits(JOINT_LIMITS.map(({ lower }) => lower) as unknown as JointAngles);
const UPPER = toRecordedUnits(JOINT_LIMITS.map(({ upper }) => upper) as unknown as JointAngles);

/** The next action, or undefined to stop. */
type Controller = (world: TabletopWorld) => () => readonly number[] | undefined;

function trial(world: TabletopWorld, seed: string, control: Controller, steps = world.info.maxSteps): boolean {
  world.reset(seed);
  const next = control(world);
  for (let step = 0; step < steps && !world.success(); step++) {
    const action = next();
    if (action === undefined) break;
    world.act(action);
  }
  return world.success();
}

const expert = (seed: string): Controller => (world) => {
  const hand = world.expert(seed);
  return () => hand.next();
};

const motionless: Controller = (world) => {
  const rest = world.state();
  return () => rest;
};

/** A walk that starts where the arm is. */
const wandering = (seed: string): Controller => (world) => {
  const random = new Random(seed);
  let action: readonly number[] = world.state();
  return () => (action = action.map((value) => value + 4 * random.normal()));
};

/** Anywhere within the limits, anew in every frame. */
const thrashing = (seed: string): Controller => () => {
  const random = new Random(seed);
  return () => LOWER.map((lower, joint) => lower + random.uniform() * (UPPER[joint]! - lower));
};

describe("LeRobot's so101-tabletop-mujoco, re-created", () => {
  let world: TabletopWorld;
  beforeAll(async () => {
    world = await TabletopWorld.create({ width: 64, height: 48 });
  });
  afterAll(() => {
    world.close();
  });

  it('has the interface of the model card, and says what was assumed', async () => {
    const full = await TabletopWorld.create();
    expect(full.info).toMatchObject({
      name: 'envhub:so101-tabletop-mujoco',
      task: 'Put all the cubes in the green box.',
      robotType: 'so101_follower',
      fps: 30,
      cameras: [
        { key: 'observation.images.front', width: 640, height: 480 },
        { key: 'observation.images.wrist', width: 640, height: 480 },
      ],
    });
    expect(full.info.notes!.join(' ')).toMatch(/re-creation.*model card.*Assumed/);
    full.reset('card');
    const { images, state } = full.observe();
    expect(state).toHaveLength(6);
    expect(Object.entries(images).map(([key, { width, height }]) => [key, width, height])).toEqual(full.info.cameras.map(({ key, width, height }) => [key, width, height]));
    full.close();
  });

  it(`is done by the expert in ${LEAST} trials of ${TRIALS} at least`, () => {
    const done = Array.from({ length: TRIALS }, (_, k) => trial(world, `expert-${k}`, expert(`hand-${k}`)));
    expect(done.filter(Boolean).length).toBeGreaterThanOrEqual(LEAST);
  });

  it('is never done, nor a cube of it, by an arm that does not move, or moves at random', () => {
    for (const [name, control] of Object.entries({ motionless, wandering: wandering('walk'), thrashing: thrashing('thrash') })) {
      expect(trial(world, name, control), name).toBe(false);
      expect(world.score(), name).toBe(0);
    }
  });

  it('scores the share of the cubes, all of them where it is done', () => {
    expect(trial(world, 'all', expert('all'))).toBe(true);
    expect(world.score()).toBe(1);
  });

  it('scores the largest share of the cubes that was in the box at once, and wants all of them let go', () => {
    let last: readonly number[] | undefined;
    // Stops the expert over the box, with the second cube still in the hand.
    trial(world, 'half', (at) => {
      const hand = at.expert('half');
      return () => {
        if (at.score() < 0.5) last = hand.next();
        return last;
      };
    }, 700);
    expect(world.success()).toBe(false);
    expect(world.score()).toBe(0.5);
    expect(world.failure()).toBe('timed-out');
  });

  it('says how a trial failed', () => {
    trial(world, 'failure', motionless, 30);
    expect(world.failure()).toBe('not-reached');
    // The whole motion with the fingers closed.
    trial(world, 'failure', (at) => {
      const hand = at.expert('failure');
      return () => hand.next()?.map((value, joint) => (joint === 5 ? 0 : value));
    }, 120);
    expect(world.failure()).toBe('not-grasped');
    // Opens on the way to the box.
    let wasHeld = false;
    trial(world, 'failure', (at) => {
      const hand = at.expert('failure');
      return () => {
        wasHeld ||= at.cubes().some(({ pose }) => pose.origin[2] > 0.06);
        return hand.next()?.map((value, joint) => (joint === 5 && wasHeld ? 80 : value));
      };
    }, 200);
    expect(world.failure()).toBe('dropped');
  });

  it('repeats a trial to the byte, in the same world and in another, and differs by seed', async () => {
    const other = await TabletopWorld.create({ width: 64, height: 48 });
    const record = (at: TabletopWorld, seed: string): string => {
      const seen: unknown[] = [];
      trial(at, seed, (within) => {
        const hand = within.expert(seed);
        return () => {
          const action = hand.next();
          seen.push(action, within.state(), within.cubes().map(({ pose }) => pose));
          return action;
        };
      }, 300);
      return JSON.stringify([seen, Object.values(at.observe().images).map(({ data }) => Buffer.from(data).toString('base64'))]);
    };
    const one = record(world, 'a');
    expect(record(world, 'b') === one).toBe(false);
    expect(record(world, 'a') === one).toBe(true);
    expect(record(other, 'a') === one).toBe(true);
    other.close();
  });

  it('lays cubes, box and front camera out anew in every trial, apart from each other', () => {
    const fronts = new Set<string>();
    for (let k = 0; k < 20; k++) {
      world.reset(`layout-${k}`);
      const places = [...world.cubes(), world.box()].map(({ pose }) => pose.origin);
      places.forEach((a, i) => {
        places.slice(i + 1).forEach((b) => {
          expect(Math.hypot(a[0] - b[0], a[1] - b[1])).toBeGreaterThan(0.06);
        });
      });
      fronts.add(Buffer.from(world.observe().images['observation.images.front']!.data).toString('base64'));
    }
    expect(fronts.size).toBe(20);
  });

  it('counts actions beyond the limits as clamped, and refuses what is not 6 finite numbers', () => {
    world.reset('limits');
    expect(world.act(world.state())).toEqual({ clamped: false });
    expect(world.act(UPPER.map((value) => value + 30))).toEqual({ clamped: true });
    expect(() => world.act([0, 0, 0, 0, 0, NaN])).toThrow('6 finite numbers');
    expect(() => world.act([1, 2, 3])).toThrow('6 finite numbers');
  });
});

describe('addresses of environments of the hub', () => {
  it.each([
    ['envhub:so101-tabletop-mujoco', {}],
    ['envhub:lerobot/so101-tabletop-mujoco?seconds=90&width=320&height=240', { seconds: 90, width: 320, height: 240 }],
  ])('%s is read', (address, options) => {
    expect(parseEnvhubAddress(address)).toEqual(options);
  });

  it.each([
    ['envhub:cartpole-env', 'DEMO_TASK_UNKNOWN', /cartpole-env/],
    ['envhub:', 'DEMO_TASK_UNKNOWN', /so101-tabletop-mujoco/],
    ['envhub:so101-tabletop-mujoco?fps=10', 'INVALID_ARGUMENT', /30 actions a second/],
    ['envhub:so101-tabletop-mujoco?place=left', 'INVALID_ARGUMENT', /unknown setting "place"/],
    ['envhub:so101-tabletop-mujoco?seconds=soon', 'INVALID_ARGUMENT', /seconds=soon/],
  ])('%s is refused', (address, code, message) => {
    expect(() => parseEnvhubAddress(address)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) as string }));
  });

  it.each([{ seconds: 0 }, { seconds: 10_000 }, { width: 63 }, { height: 0 }])('the world refuses %j', async (options) => {
    await expect(TabletopWorld.create(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

import type { WorldInfo } from '@zk0/core';
import type { AlignmentTarget } from '@zk0/dataset-so100';
import type { Actor, PolicyFeatures } from '@zk0/policy-smolvla';
import { describe, expect, it } from 'vitest';
import { alignWorld, checkFit, policyController } from './policy-controller.ts';

const NAMES = ['shoulder_pan', 'shoulder_lift', 'elbow_flex', 'wrist_flex', 'wrist_roll', 'gripper'].map((name) => `${name}.pos`);
const world: WorldInfo = { name: 'demo:lift-can', task: 'Lift.', robotType: 'so101_follower', fps: 10, maxSteps: 9, stateNames: NAMES, actionNames: NAMES, cameras: [] };
const DEGREES_PER_UNIT = 1.1;

function target(units: 'degrees' | 'normalized', order: readonly number[] = [0, 1, 2, 3, 4, 5], fps = 10): AlignmentTarget {
  const names = order.map((joint) => NAMES[joint]!);
  const joints = order.map((joint) =>
    joint === 5 ? { unit: 'percent' as const, confidence: 1 } : { unit: units, confidence: 1, ...(units === 'normalized' ? { degreesPerUnit: DEGREES_PER_UNIT } : {}) },
  );
  const ranges = { state: names.map(() => 0), action: names.map(() => 0) };
  return { fps, robotType: 'so101_follower', stateNames: names, actionNames: names, joints: { state: joints, action: joints }, recording: undefined, ranges };
}

/** Records what a policy is shown, in which batches, and gives it back as its actions: chunks of three, two of which are used. */
function echo(): { readonly actor: Actor; readonly seen: number[][]; readonly batches: number[] } {
  const seen: number[][] = [];
  const batches: number[] = [];
  const refuse = (): Promise<never> => Promise.reject(new Error('not asked for'));
  const actor: Actor = {
    actionSteps: 2,
    actTogether: (requests) => {
      batches.push(requests.length);
      return Promise.resolve(
        requests.map(({ observation }) => {
          seen.push([...observation.state]);
          const actions = Float32Array.from([0, 1, 2].flatMap((step) => [...observation.state].map((value) => value + 100 * step)));
          return { chunkSize: 3, actionSize: observation.state.length, actions };
        }),
      );
    },
    selectAction: refuse,
    act: refuse,
    reset: () => undefined,
    close: () => Promise.resolve(),
  };
  return { actor, seen, batches };
}

const features = { stateSize: 6, actionSize: 6, cameras: [] };
const state = [10, -20, 30, 40, 55, 60];

describe('a policy in a world whose robot is recorded otherwise than what it was trained on', () => {
  it('is shown states in its order and units, and its actions are turned back', async () => {
    const alignment = alignWorld(world, target('normalized', [5, 4, 3, 2, 1, 0]));
    const { actor, seen } = echo();
    const action = await policyController(actor, features, new Map(), alignment)('seed')({ state, images: {}, task: 'Lift.' });
    [60, 50, 40 / DEGREES_PER_UNIT, 30 / DEGREES_PER_UNIT, -20 / DEGREES_PER_UNIT, 10 / DEGREES_PER_UNIT].forEach((value, i) => {
      expect(seen[0]![i]).toBeCloseTo(value, 4);
    });
    state.forEach((value, i) => {
      expect(action![i]).toBeCloseTo(value, 4);
    });
  });

  it('is shown what the world gives where they are the same, or nobody knows', async () => {
    for (const one of [target('degrees'), { ...target('degrees'), joints: null }, null]) {
      expect(alignWorld(world, one)).toBeNull();
    }
    const { actor, seen } = echo();
    await policyController(actor, features, new Map())('seed')({ state, images: {}, task: 'Lift.' });
    expect(seen).toEqual([state]);
  });

  it('is refused at another frame rate, and with other joints', () => {
    expect(() => alignWorld(world, target('degrees', undefined, 30))).toThrow(/30 frames a second.*10 actions/);
    expect(() => alignWorld({ ...world, name: 'envhub:x' }, target('degrees', undefined, 30))).toThrow(expect.objectContaining({ hint: expect.stringContaining('belongs to the task') as string }));
    const other = { ...target('degrees'), stateNames: ['a', 'b', 'c', 'd', 'e', 'f'] };
    expect(() => alignWorld(world, other)).toThrow(/trained on other recordings/);
  });
});

describe('a policy that does not fit a world', () => {
  const [top, wrist] = ['observation.images.top', 'observation.images.wrist'] as const;
  const seen = { ...world, cameras: [top, wrist].map((key) => ({ key, width: 64, height: 48 })) };
  const takes = (...cameras: string[]): PolicyFeatures => ({ ...features, cameras });
  const refusal = (message: RegExp, hint: RegExp): unknown =>
    expect.objectContaining({ code: 'ROLLOUT_MISMATCH', message: expect.stringMatching(message) as string, hint: expect.stringMatching(hint) as string });

  it('is refused where it is for another robot', () => {
    expect(() => { checkFit({ stateSize: 12, actionSize: 12, cameras: [top] }, seen, new Map()); }).toThrow(
      refusal(/takes 12 state values and gives 12 actions, the robot of demo:lift-can has 6 and 6/, /trained for this robot/),
    );
  });

  it('is refused with both sides and the likeliest renaming where it has other cameras, and fits with it', () => {
    const front = 'observation.images.front';
    expect(() => { checkFit(takes(front, wrist), seen, new Map()); }).toThrow(refusal(/no camera for observation\.images\.front.*takes \[.*front.*\].*has \[.*top/, /--rename observation\.images\.top=observation\.images\.front/));
    expect(() => { checkFit(takes(front, wrist), seen, new Map([[top, front]])); }).not.toThrow();
    expect(() => { checkFit(takes(top), seen, new Map([['observation.images.side', top]])); }).toThrow(refusal(/names no camera of the world: observation\.images\.side/, /Leave renamings out/));
  });
});

describe('a policy in several trials at once', () => {
  it('is asked once for all that look at the same moment, and again when the actions to carry out are used up', async () => {
    const { actor, batches } = echo();
    const begin = policyController(actor, features, new Map());
    const acts = ['a', 'b', 'c'].map((seed) => begin(seed));
    const ask = (from: number): Promise<unknown[]> =>
      Promise.all(acts.slice(from).map(async (act, lane) => act({ state: state.map((value) => value + lane + from), images: {}, task: 'Lift.' })));
    expect(await ask(0)).toEqual([0, 1, 2].map((lane) => Float32Array.from(state, (value) => value + lane)));
    expect(await ask(0)).toEqual([0, 1, 2].map((lane) => Float32Array.from(state, (value) => value + lane + 100)));
    expect(batches).toEqual([3]);
    await ask(1);
    expect(batches).toEqual([3, 2]);
  });

  it('has a world draw its pictures only when the policy looks', async () => {
    let drawn = 0;
    const act = policyController(echo().actor, features, new Map())('a');
    const observation = {
      state,
      task: 'Lift.',
      get images() {
        drawn++;
        return {};
      },
    };
    for (let step = 0; step < 5; step++) await act(observation);
    expect(drawn).toBe(3);
  });
});

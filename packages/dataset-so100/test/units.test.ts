import { clientProfileSchema, datasetProfile } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { alignedDataset, alignRecordings, leaderOffsets, openDataset, type Alignment, type AlignmentDecision } from '../src/index.ts';
import { UNIT_CONVENTIONS, type UnitConvention } from '../src/units/infer-units.ts';
import { momentsOf } from '../src/stats/moments.ts';
import { hasRealData, realSet } from './real-data.ts';
import { findSteps } from '../src/units/lattice.ts';
import { NAMES, recordArm, recordTwoArms, type ArmOptions, type RecordedArm } from './recorded-arm.ts';

const decide = (arms: Readonly<Record<string, RecordedArm>>): ReadonlyMap<string, AlignmentDecision> =>
  alignRecordings(new Map(Object.entries(arms).map(([id, { profile }]) => [id, profile]))).decisions;

/** A clean recording that outweighs all others, so that it is what the federation takes. */
const clean = (units: UnitConvention, more: Partial<ArmOptions> = {}): RecordedArm => recordArm({ units, seed: 99, frames: 3000, ...more });

/** Largest difference between the aligned values and what really happened, in degrees and per cent. */
function error({ dataset, truth, actionTruth }: RecordedArm, alignment: Alignment | null): number {
  const aligned = alignedDataset(dataset, alignment);
  let worst = 0;
  for (let frame = 0; frame < dataset.info.frameCount; frame += 7) {
    const action = aligned.actionChunk(frame, 1).actions;
    aligned.state(frame).forEach((value, i) => {
      const at = frame * dataset.info.stateNames.length + i;
      worst = Math.max(worst, Math.abs(value - truth[at]!), Math.abs(action[i]! - actionTruth[at]!));
    });
  }
  return worst;
}

const ZERO = [0, 0, 0, 0, 0, 0];
const SHUFFLED = [5, 0, 3, 1, 4, 2];

/** The panel: how arms are recorded by people, with what has to come of it beside a federation in degrees. */
const PANEL: readonly (readonly [string, ArmOptions, 'exact' | 'nominal' | 'refused'])[] = [
  ...UNIT_CONVENTIONS.flatMap((units, i) =>
    ([
      ['', {}],
      [', permuted', { order: SHUFFLED }],
      [', under other names', { names: NAMES.urdf, robotType: 'so100' }],
      [', numbered and permuted', { names: NAMES.numbered, order: [1, 0, 2, 3, 4, 5] }],
      [', of another arm', { seed: 50 + i }],
      [', a short reach', { reach: 0.6 }],
    ] as const).map(([what, more]): [string, ArmOptions, 'exact' | 'nominal' | 'refused'] => {
      const expected = units === 'ticks' ? 'refused' : units === 'radians' ? 'nominal' : 'exact';
      return [`${units}${what}`, { units, seed: 10 + i, ...more }, expected];
    }),
  ),
  ['degrees by a driver of 4096 counts', { units: 'degrees', seed: 31, resolution: 4096 }, 'exact'],
  ['old degrees under their old names', { units: 'degrees-2024', seed: 32, names: NAMES.before2025, robotType: 'so100', version: 'v2.1' }, 'exact'],
  ['old degrees, smooth', { units: 'degrees-2024', seed: 33, isSmooth: true, names: NAMES.before2025, robotType: 'so100', version: 'v2.1' }, 'exact'],
  ['radians, smooth', { units: 'radians', seed: 34, isSmooth: true }, 'nominal'],
  ['degrees, smooth, beyond 100', { units: 'degrees', seed: 35, isSmooth: true, rest: -104 }, 'exact'],
  ['degrees, smooth, within 100: as likely normalised', { units: 'degrees', seed: 36, isSmooth: true }, 'refused'],
  ['the same, stated', { units: 'degrees', seed: 36, isSmooth: true, stated: 'degrees' }, 'exact'],
  ['normalised, smooth: as likely degrees', { units: 'normalized', seed: 37, isSmooth: true, reach: 0.8 }, 'refused'],
  ['the same, stated', { units: 'normalized', seed: 37, isSmooth: true, reach: 0.8, stated: 'normalized' }, 'nominal'],
  ['ticks under old names', { units: 'ticks', seed: 38, names: NAMES.before2025, robotType: 'so100' }, 'refused'],
  ['another frame rate', { units: 'degrees', seed: 39, fps: 10 }, 'refused'],
  ['hardly moved, folded up', { units: 'degrees', seed: 41, reach: 0.02, frames: 90 }, 'exact'],
  ['old degrees, hardly moved, folded up', { units: 'degrees-2024', seed: 42, reach: 0.02, frames: 90 }, 'exact'],
  ['normalised, hardly moved, folded up', { units: 'normalized', seed: 43, reach: 0.02, frames: 90 }, 'nominal'],
  ['radians, hardly moved, folded up', { units: 'radians', seed: 44, reach: 0.02, frames: 90 }, 'nominal'],
  ['degrees, hardly moved, all joints at zero: as likely radians', { units: 'degrees', seed: 45, reach: 0.02, frames: 90, home: ZERO }, 'refused'],
  ['normalised, hardly moved, all joints at zero: as likely radians', { units: 'normalized', seed: 46, reach: 0.02, frames: 90, home: ZERO }, 'refused'],
  ['degrees, smooth, little moved at zero', { units: 'degrees', seed: 47, reach: 0.04, home: ZERO, isSmooth: true }, 'refused'],
  ['the same, stated', { units: 'degrees', seed: 47, reach: 0.04, home: ZERO, isSmooth: true, stated: 'degrees' }, 'exact'],
  ['degrees, smooth, little moved at zero but for the gripper', { units: 'degrees', seed: 48, reach: 0.06, home: [0, 0, 0, 0, 0, 40], isSmooth: true }, 'refused'],
  ['stood at zero', { units: 'degrees', seed: 49, reach: 0, home: ZERO, frames: 90 }, 'refused'],
  ['a little moved at zero, in steps', { units: 'degrees', seed: 60, reach: 0.06, home: ZERO }, 'exact'],
  ['normalised, a little moved at zero, in steps', { units: 'normalized', seed: 61, reach: 0.06, home: ZERO }, 'nominal'],
  ['old degrees at the new zero, joints named as since: as likely new ones', { units: 'degrees-2024', seed: 62, reach: 0.06, home: ZERO }, 'refused'],
  ['the same, stated', { units: 'degrees-2024', seed: 62, reach: 0.06, home: ZERO, stated: 'degrees-2024' }, 'exact'],
  ['one joint moved alone', { units: 'degrees', seed: 63, still: [1, 2, 3, 4, 5] }, 'exact'],
  ['a gripper that never opened', { units: 'degrees', seed: 64, still: [5] }, 'exact'],
  ['old degrees, a gripper that never opened', { units: 'degrees-2024', seed: 65, still: [5] }, 'exact'],
  ['normalised, a gripper that never opened', { units: 'normalized', seed: 66, still: [5] }, 'exact'],
  ['radians, a gripper that never opened', { units: 'radians', seed: 67, still: [5] }, 'nominal'],
  ['half of the joints under other names', { units: 'normalized', seed: 68, names: [...NAMES.since2025.slice(0, 3), ...NAMES.urdf.slice(3)] }, 'exact'],
  ['half of the joints under other names, permuted', { units: 'degrees-2024', seed: 69, names: [...NAMES.urdf.slice(0, 3), ...NAMES.before2025.slice(3)], order: SHUFFLED }, 'exact'],
  ['one joint under the name of another', { units: 'degrees', seed: 70, names: [...NAMES.since2025.slice(0, 5), 'elbow_flex.pos'] }, 'refused'],
  ...UNIT_CONVENTIONS.flatMap((units, i) =>
    UNIT_CONVENTIONS.filter((lastUnits) => lastUnits !== units).map((lastUnits, j): [string, ArmOptions, 'refused'] => [
      `${units}, the last episode in ${lastUnits}`,
      { units, lastUnits, seed: 71 + 5 * i + j },
      'refused',
    ]),
  ),
  ['radians, smooth, the last episode in old degrees', { units: 'radians', lastUnits: 'degrees-2024', seed: 96, isSmooth: true }, 'refused'],
  ['degrees, smooth, the last episode in radians', { units: 'degrees', lastUnits: 'radians', seed: 97, isSmooth: true, rest: -104 }, 'refused'],
  ['names without meaning', { units: 'degrees', seed: 40, names: ['a', 'b', 'c', 'd', 'e', 'f'] }, 'refused'],
];

/** Degrees and per cent: rounding; and an arm whose calibration differs from the model's. */
const TOLERANCE = { exact: 0.15, nominal: 25 };

describe('the calibrated range of a normalised joint', () => {
  it.each([
    [2500, 0, 40], [2500, 0, 100], [4080, 0, 30], [2420, 0.3, 60], [2360, 0.05, 30], [2320, 0.4, 300], [1400, -0.9, 40],
  ])('is told from its steps to the count: %i counts, moved by %d of half of it, %i counts either way', (range, middle, span) => {
    const centre = Math.round((range / 2) * (1 + middle));
    const values = Float32Array.from({ length: 400 }, (_, i) => ((centre + Math.round(span * Math.sin(i / 17))) / range) * 200 - 100);
    expect(findSteps(values, 'normalized')).toEqual({ kind: 'normalized', step: 200 / range, range });
  });
});

describe('the unit panel', () => {
  it('has at least 40 sets in five conventions', () => {
    expect(PANEL.length).toBeGreaterThanOrEqual(40);
    expect(new Set(PANEL.map(([, { units }]) => units)).size).toBe(5);
  });

  it.each(PANEL)('%s', (_, options, expected) => {
    const arm = recordArm(options);
    expect(clientProfileSchema.safeParse({ dataset: arm.profile, device: 'cpu' }).error).toBeUndefined();
    const decision = decide({ clean: clean('degrees'), arm }).get('arm')!;
    if (expected === 'refused') {
      expect(decision).toMatchObject({ kind: 'refused', reason: expect.stringMatching(/./) as string, hint: expect.stringMatching(/./) as string });
      return;
    }
    if (decision.kind === 'refused') throw new Error(`refused: ${decision.reason}`);
    expect(error(arm, decision.alignment)).toBeLessThan(TOLERANCE[expected]);
    if (expected === 'nominal') expect(decision.notes.join()).toContain('nominal');
  });

  it('puts nobody in doubt where all record alike, whatever the convention', () => {
    for (const units of UNIT_CONVENTIONS) {
      const decisions = decide({ a: recordArm({ units, seed: 1 }), b: recordArm({ units, seed: 2 }), c: recordArm({ units, seed: 3, order: SHUFFLED }) });
      expect([...decisions.values()].map(({ kind }) => kind)).toEqual(['ready', 'ready', 'ready']);
    }
  });

  it('brings all to degrees where conventions differ, exactly where calibrations are known', () => {
    const arms = {
      a: recordArm({ units: 'normalized', seed: 1, frames: 1800 }),
      b: recordArm({ units: 'degrees', seed: 2 }),
      c: recordArm({ units: 'degrees-2024', seed: 3, names: NAMES.before2025, robotType: 'so100' }),
    };
    for (const [id, decision] of decide(arms)) {
      if (decision.kind === 'refused') throw new Error(decision.reason);
      expect(error(arms[id as keyof typeof arms], decision.alignment), id).toBeLessThan(TOLERANCE.exact);
    }
  });

  it.each([
    ['right arm first', recordTwoArms({ units: 'degrees', seed: 1 }, { units: 'degrees', seed: 2 }, true), 'exact'],
    ['normalised', recordTwoArms({ units: 'normalized', seed: 3 }, { units: 'normalized', seed: 4 }), 'exact'],
    ['one of them never moved', recordTwoArms({ units: 'degrees', seed: 5 }, { units: 'degrees', seed: 6, reach: 0 }), 'exact'],
    ['each in its own units', recordTwoArms({ units: 'degrees', seed: 7 }, { units: 'normalized', seed: 8 }), 'exact'],
    ['each with its own zero', recordTwoArms({ units: 'degrees', seed: 9 }, { units: 'degrees-2024', seed: 10 }), 'exact'],
    ['only one of them', recordArm({ units: 'degrees', seed: 11, names: NAMES.since2025.map((name) => `left_${name}`) }), 'refused'],
  ] as const)('two arms: %s', (_, arm, expected) => {
    const decision = decide({ clean: recordTwoArms({ units: 'degrees', seed: 97, frames: 3000 }, { units: 'degrees', seed: 98, frames: 3000 }), arm }).get('arm')!;
    if (expected === 'refused') expect(decision.kind).toBe('refused');
    else if (decision.kind === 'refused') throw new Error(`refused: ${decision.reason}`);
    else expect(error(arm, decision.alignment)).toBeLessThan(TOLERANCE[expected]);
  });

  it('takes parts of one recording without asking for units', () => {
    const whole = recordArm({ units: 'degrees', seed: 36, isSmooth: true });
    expect([...decide({ a: whole, b: whole }).values()].every(({ kind }) => kind === 'ready')).toBe(true);
  });

  it('refuses values that no such joint can have, whatever was stated', () => {
    const arm = recordArm({ units: 'degrees', seed: 4, stated: 'radians' });
    expect(decide({ clean: clean('degrees'), arm }).get('arm')).toMatchObject({ kind: 'refused', reason: expect.stringContaining('°, which no such joint can') as string });
  });

  it('compares robots that it does not know by their ranges', () => {
    const generic = (factor: number, seed: number): RecordedArm => {
      const arm = recordArm({ units: 'degrees', seed, isSmooth: true });
      const scale = (values: readonly number[]): number[] => values.map((value) => value * factor);
      const moments = { ...arm.profile.moments.state, min: scale(arm.profile.moments.state.min), max: scale(arm.profile.moments.state.max) };
      const joints = arm.profile.joints!.state.map(() => ({ unit: 'unknown' as const, confidence: 0 }));
      const names = ['x', 'y', 'z', 'rx', 'ry', 'grip'];
      const profile = { ...arm.profile, robotType: 'cr5', stateNames: names, actionNames: names, moments: { state: moments, action: moments }, joints: { state: joints, action: joints } };
      return { ...arm, profile };
    };
    const decisions = decide({ a: generic(1, 1), b: generic(1.4, 2), c: generic(Math.PI / 180, 3) });
    expect([...decisions.values()].map(({ kind }) => kind)).toEqual(['ready', 'ready', 'refused']);
    expect(decisions.get('c')).toMatchObject({ reason: expect.stringMatching(/values are \d+ times smaller/) as string });
  });
});

describe('an aligned dataset', () => {
  it('has the moments of the values that it gives', () => {
    const arm = recordArm({ units: 'degrees-2024', seed: 7, order: SHUFFLED });
    const decision = decide({ clean: clean('degrees'), arm }).get('arm')!;
    if (decision.kind === 'refused') throw new Error(decision.reason);
    const aligned = alignedDataset(arm.dataset, decision.alignment);
    const rows = Array.from({ length: aligned.info.frameCount }, (_, frame) => aligned.state(frame));
    const actual = momentsOf(Float32Array.from(rows.flatMap((row) => [...row])), 6);
    for (const key of ['mean', 'm2', 'min', 'max'] as const) {
      aligned.info.moments.state[key].forEach((value, i) => {
        expect(Math.abs(value / actual[key][i]! - 1), `${key} ${i}`).toBeLessThan(1e-3);
      });
    }
    expect(aligned.info.stateNames).toEqual(NAMES.since2025);
    expect(aligned.info.contentHash).not.toBe(arm.dataset.info.contentHash);
    expect(alignedDataset(arm.dataset, null)).toBe(arm.dataset);
    expect(datasetProfile(aligned.info).joints?.state[0]?.unit).toBe('degrees');
  });
});

describe('leader and follower', () => {
  const offsetsOf = (options: ArmOptions): readonly string[] => {
    const { dataset, offsets } = recordArm(options);
    const { info } = dataset;
    const all = Array.from({ length: info.frameCount }, (_, frame) => frame);
    const state = Float32Array.from(all.flatMap((frame) => [...dataset.state(frame)]));
    const action = Float32Array.from(all.flatMap((frame) => [...dataset.actionChunk(frame, 1).actions]));
    const found = leaderOffsets({ state, action, offsets }, { ...info, joints: info.joints! });
    return found.map(({ joint, degrees }) => `${joint} ${degrees.toFixed(0)}`);
  };

  it.each(['degrees', 'normalized', 'radians'] as const)('that are calibrated 4° apart are found and named, in %s', (units) => {
    const found = offsetsOf({ units, seed: 5, leaderOffset: 4 });
    expect(found.map((text) => text.split(' ')[0])).toEqual(NAMES.since2025.slice(0, 5));
  });

  it('that are calibrated alike are not', () => {
    expect(offsetsOf({ units: 'degrees', seed: 5, leaderOffset: 1 })).toEqual([]);
  });
});

describe.skipIf(!hasRealData)('units of real recordings (skipped without ../shared/data or ZK0_TEST_DATA)', () => {
  it.each([
    ['so101_no_camera', ['normalized', 'normalized', 'normalized', 'normalized', 'normalized', 'percent']],
    ['so101_bimanual_cloth', new Array(12).fill('ticks')],
    ['cr5_banana_plate', new Array(6).fill('unknown')],
  ] as const)('%s', async (name, units) => {
    const dataset = await openDataset(realSet(name));
    expect(dataset.info.joints!.state.map(({ unit }) => unit)).toEqual(units);
    await dataset.close();
  });

  it('the calibrated range of each joint is read from the steps of its values', async () => {
    const dataset = await openDataset(realSet('so101_no_camera'));
    // 224°, 194° and 215° of shoulder lift, elbow and wrist: what arms of this kind are calibrated to.
    const ranges = dataset.info.joints!.state.map(({ degreesPerUnit }) => Math.round((degreesPerUnit ?? NaN) * 200));
    expect(ranges.slice(1, 4)).toEqual([224, 194, 215]);
    await dataset.close();
  });
});

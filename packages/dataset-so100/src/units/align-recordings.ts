import type { ClientProfile, JointConvention } from '@zk0/core';
import { conversionBetween, type Exactness } from './convert-units.ts';
import { KNOWN_CONFIDENCE } from './infer-units.ts';
import { canonicalNames, isSoJoint, isSoRobot } from './joint-names.ts';

type Profile = ClientProfile['dataset'];

/** What one vector of a dataset needs to be that of the federation: value `i` is recorded value `order[i]` × `scale[i]` + `offset[i]`. */
export interface VectorAlignment {
  readonly order: readonly number[];
  readonly scale: readonly number[];
  readonly offset: readonly number[];
}

/** What a client has to do with its recordings. */
export interface Alignment {
  readonly state: VectorAlignment;
  readonly action: VectorAlignment;
  readonly stateNames: readonly string[];
  readonly actionNames: readonly string[];
  readonly joints: { readonly state: readonly JointConvention[]; readonly action: readonly JointConvention[] };
}

/** Why a client cannot take part, in words for its owner, and what to do. */
export interface Refusal {
  readonly reason: string;
  readonly hint: string;
}

/** What was decided about one client. */
export type AlignmentDecision =
  | { readonly kind: 'ready'; readonly alignment: Alignment | null; readonly notes: readonly string[] }
  | ({ readonly kind: 'refused' } & Refusal);

/** What all recordings of a federation are brought to. */
export interface AlignmentTarget {
  readonly fps: number;
  readonly robotType: string;
  readonly stateNames: readonly string[];
  readonly actionNames: readonly string[];
  readonly joints: { readonly state: readonly JointConvention[]; readonly action: readonly JointConvention[] } | null;
  /** Of the recording that gives it. */
  readonly recording: string | undefined;
  readonly ranges: { readonly state: readonly number[]; readonly action: readonly number[] };
}

/** Two rates are one where they differ by less than this share. */
const RATE_TOLERANCE = 0.01;

/** Values of one unknown unit whose ranges differ by more than this factor are of two: a radian is 57 degrees, a degree 11 counts. */
const RANGE_FACTOR = 8;

/** No joint of these arms turns further than this, in degrees. */
const MAX_DEGREES = 250;

/**
 * Compares what the clients of a federation recorded, before the first round: names and order of joints, units, frame rates, robots,
 * ranges. Whoever differs is brought to the target where that is possible, and refused by name where it is not: nothing is averaged
 * that does not mean the same.
 *
 * @param clients by id
 * @param reference recordings that decide, such as those held out for evaluation; without any, the clients decide by frames
 */
export function alignRecordings(
  clients: ReadonlyMap<string, Profile>,
  reference?: Profile,
): { readonly target: AlignmentTarget; readonly decisions: ReadonlyMap<string, AlignmentDecision> } {
  const target = chooseTarget([...clients.values()], reference);
  return { target, decisions: new Map([...clients].map(([id, profile]) => [id, alignRecording(profile, target)])) };
}

/** What one client has to do to take part in a federation whose target is known. */
export function alignRecording(profile: Profile, target: AlignmentTarget): AlignmentDecision {
  const notes: string[] = [];
  if (Math.abs(profile.fps / target.fps - 1) > RATE_TOLERANCE) {
    return refused(`it was recorded at ${profile.fps} frames a second, the federation's recordings at ${target.fps}`, `Record at ${target.fps} frames a second, or join a federation of ${profile.fps}.`);
  }
  const state = alignVector('state', profile, target);
  if ('reason' in state) return { kind: 'refused', ...state };
  const action = alignVector('action', profile, target);
  if ('reason' in action) return { kind: 'refused', ...action };
  notes.push(...state.notes, ...action.notes);
  if (profile.robotType !== target.robotType && notes.length > 0) notes.push(`robot type ${profile.robotType}, where the federation's is ${target.robotType}`);
  if (state.isIdentity && action.isIdentity) return { kind: 'ready', alignment: null, notes };
  const joints = { state: target.joints?.state ?? state.units, action: target.joints?.action ?? action.units };
  return {
    kind: 'ready',
    notes,
    alignment: { state: state.alignment, action: action.alignment, stateNames: target.stateNames, actionNames: target.actionNames, joints },
  };
}

function refused(reason: string, hint: string): AlignmentDecision {
  return { kind: 'refused', reason, hint };
}

/** The reference, or the convention that most frames are of; where conventions differ, degrees, to which all others lead. */
function chooseTarget(clients: readonly Profile[], reference: Profile | undefined): AlignmentTarget {
  const given = reference ?? mostFrames(clients, (profile) => JSON.stringify([profile.fps, namesOf(profile, 'state').toSorted(), namesOf(profile, 'action').toSorted()]));
  const fitting = clients.filter((profile) => sameSet(namesOf(profile, 'state'), namesOf(given, 'state')));
  const joints = given.joints === undefined ? null : targetUnits(given, reference === undefined ? fitting : [given]);
  return {
    fps: given.fps,
    robotType: given.robotType,
    stateNames: given.stateNames,
    actionNames: given.actionNames,
    joints,
    recording: given.recording,
    ranges: { state: extents(given, 'state'), action: extents(given, 'action') },
  };
}

function mostFrames(clients: readonly Profile[], keyOf: (profile: Profile) => string): Profile {
  const frames = new Map<string, number>();
  for (const profile of clients) frames.set(keyOf(profile), (frames.get(keyOf(profile)) ?? 0) + profile.frames);
  const [best] = [...frames].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]!;
  const members = clients.filter((profile) => keyOf(profile) === best);
  const named = new Map<string, number>();
  for (const { stateNames, frames: own } of members) named.set(stateNames.join(), (named.get(stateNames.join()) ?? 0) + own);
  const usual = [...named].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]![0];
  return members.find(({ stateNames, joints }) => stateNames.join() === usual && isKnown(joints?.state)) ?? members.find(({ stateNames }) => stateNames.join() === usual)!;
}

/** Units that all sets can be brought to: their own where they agree, else degrees (per cent of grippers) of joints that have them. */
function targetUnits(given: Profile, clients: readonly Profile[]): AlignmentTarget['joints'] {
  const vector = (kind: 'state' | 'action'): readonly JointConvention[] => {
    const names = namesOf(given, kind);
    return names.map((name, i) => {
      const own = given.joints![kind][i]!;
      const units = new Set(clients.flatMap((profile) => unitAt(profile, kind, name) ?? []));
      if (units.size <= 1 || !isSoJoint(name)) return own.unit === 'normalized' ? { unit: own.unit, confidence: own.confidence } : own;
      return { unit: name.endsWith('gripper') ? 'percent' : 'degrees', confidence: 1 };
    });
  };
  return { state: vector('state'), action: vector('action') };
}

function unitAt(profile: Profile, kind: 'state' | 'action', name: string): JointConvention['unit'] | null {
  const index = namesOf(profile, kind).indexOf(name);
  const convention = index === -1 ? undefined : profile.joints?.[kind][index];
  return convention === undefined || convention.confidence < KNOWN_CONFIDENCE ? null : convention.unit;
}

interface AlignedVector {
  readonly alignment: VectorAlignment;
  readonly isIdentity: boolean;
  readonly notes: readonly string[];
  readonly units: readonly JointConvention[];
}

function alignVector(kind: 'state' | 'action', profile: Profile, target: AlignmentTarget): AlignedVector | Refusal {
  const recorded = kind === 'state' ? profile.stateNames : profile.actionNames;
  const targetNames = kind === 'state' ? target.stateNames : target.actionNames;
  const own = namesOf(profile, kind);
  const wanted = canonicalNames(targetNames, target.robotType);
  if (!sameSet(own, wanted) || new Set(own).size !== own.length) {
    return {
      reason: `its ${kind} has the joints ${recorded.join(', ')}, the federation's ${targetNames.join(', ')}`,
      hint: 'Join a federation of this robot, or name the joints in meta/info.json as they are.',
    };
  }
  const order = wanted.map((name) => own.indexOf(name));
  const notes: string[] = [];
  if (order.some((from, to) => from !== to)) notes.push(`${kind} reordered to ${targetNames.join(', ')}`);
  const isOneRecording = profile.recording !== undefined && profile.recording === target.recording;
  const scale = wanted.map(() => 1);
  const offset = wanted.map(() => 0);
  const units: JointConvention[] = [];
  const changed = new Map<string, string[]>();
  for (const [to, from] of order.entries()) {
    const name = recorded[from]!;
    const have = profile.joints?.[kind][from] ?? { unit: 'unknown', confidence: 0 };
    const want = target.joints?.[kind][to] ?? { unit: 'unknown', confidence: 0 };
    units.push(have);
    if (isOneRecording && have.unit === want.unit) continue;
    // Where nobody looked at units, ranges are all there is.
    const isLooked = profile.joints !== undefined && target.joints !== null;
    const isSo = isLooked && (isSoJoint(wanted[to]!) || isSoRobot(profile.robotType));
    const problem = isSo ? unsure(name, kind, have, want) : otherRange(name, kind, profile, target, from, to, have, want);
    if (problem !== null) return problem;
    const conversion = have.unit === want.unit ? null : conversionBetween(wanted[to]!, have, want);
    if (have.unit !== want.unit && conversion === null && isSo) {
      const why = have.unit === 'ticks' ? 'encoder counts say nothing without the calibration of the arm' : `there is no conversion from ${have.unit} to ${want.unit}`;
      return { reason: `${kind} ${name} is recorded in ${have.unit}, the federation's in ${want.unit}, and ${why}`, hint: 'Record in degrees, or convert the recordings with their calibration file.' };
    }
    if (conversion === null) continue;
    scale[to] = conversion.scale;
    offset[to] = conversion.offset;
    const key = `${have.unit} to ${want.unit}${exactnessNote(conversion.exactness)}`;
    changed.set(key, [...(changed.get(key) ?? []), name]);
  }
  for (const [what, names] of changed) notes.push(`${kind} ${names.join(', ')} converted from ${what}`);
  const beyond = beyondReach(kind, profile, order, scale, offset, wanted, target);
  if (beyond !== null) return beyond;
  const isIdentity = order.every((from, to) => from === to && scale[to] === 1 && offset[to] === 0);
  return { alignment: { order, scale, offset }, isIdentity, notes, units };
}

function exactnessNote(exactness: Exactness): string {
  return exactness === 'exact' ? '' : ' by the nominal range of the joint, since its calibration is not known';
}

/** Units that are not sure are no ground for anything: neither for an average nor for a conversion. */
function unsure(name: string, kind: string, have: JointConvention, want: JointConvention): Refusal | null {
  if (have.confidence < KNOWN_CONFIDENCE) {
    return {
      reason: `the units of ${kind} ${name} cannot be inferred from its recordings (likely ${have.unit}, ${Math.round(have.confidence * 100)} % sure)`,
      hint: 'State them: --units degrees, normalized, degrees-2024 or radians. `zk0-client dataset inspect` shows the values.',
    };
  }
  if (want.confidence >= KNOWN_CONFIDENCE) return null;
  return {
    reason: `the units of the federation's ${kind} ${name} are not known`,
    hint: 'Its server states them with --units, or holds out recordings whose units can be inferred.',
  };
}

/** Of joints whose units nobody knows, ranges tell that they cannot be the same. */
function otherRange(
  name: string,
  kind: 'state' | 'action',
  profile: Profile,
  target: AlignmentTarget,
  from: number,
  to: number,
  have: JointConvention,
  want: JointConvention,
): Refusal | null {
  if (have.unit !== 'unknown' && want.unit !== 'unknown') return null;
  const [own, usual] = [extents(profile, kind)[from]!, target.ranges[kind][to]!];
  // A joint that hardly moved in one of them says nothing.
  if (own === 0 || usual === 0 || Math.max(own / usual, usual / own) < RANGE_FACTOR) return null;
  const all = extents(profile, kind).map((extent, i) => Math.log(Math.max(extent, 1e-9) / Math.max(target.ranges[kind][i] ?? extent, 1e-9)));
  const median = all.toSorted((a, b) => a - b)[all.length >> 1]!;
  if (Math.abs(median) < Math.log(RANGE_FACTOR)) return null;
  const factor = Math.exp(Math.abs(median));
  return {
    reason: `its ${kind} values are ${factor.toFixed(0)} times ${median > 0 ? 'as large as' : 'smaller than'} the federation's (${name} reaches ${own.toPrecision(3)}, there ${usual.toPrecision(3)}): they are of other units`,
    hint: 'Convert the recordings to the units of the federation.',
  };
}

function beyondReach(
  kind: 'state' | 'action',
  profile: Profile,
  order: readonly number[],
  scale: readonly number[],
  offset: readonly number[],
  wanted: readonly string[],
  target: AlignmentTarget,
): Refusal | null {
  const { min, max } = profile.moments[kind];
  for (const [to, from] of order.entries()) {
    if (target.joints?.[kind][to]?.unit !== 'degrees' || !isSoJoint(wanted[to]!)) continue;
    const furthest = Math.max(Math.abs(min[from]! * scale[to]! + offset[to]!), Math.abs(max[from]! * scale[to]! + offset[to]!));
    if (furthest <= MAX_DEGREES) continue;
    const name = (kind === 'state' ? profile.stateNames : profile.actionNames)[from]!;
    return {
      reason: `${kind} ${name} would reach ${furthest.toFixed(0)}°, which no such joint can: its units are not ${profile.joints?.[kind][from]?.unit ?? 'those'}`,
      hint: 'Look at its values with `zk0-client dataset inspect`, and state the units with --units.',
    };
  }
  return null;
}

function isKnown(joints: readonly JointConvention[] | undefined): boolean {
  return joints?.every(({ confidence }) => confidence >= KNOWN_CONFIDENCE) ?? false;
}

function namesOf(profile: Profile, kind: 'state' | 'action'): readonly string[] {
  return canonicalNames(kind === 'state' ? profile.stateNames : profile.actionNames, profile.robotType);
}

function extents({ moments }: Profile, kind: 'state' | 'action'): readonly number[] {
  return moments[kind].max.map((max, i) => max - moments[kind].min[i]!);
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name));
}

import type { JointConvention, JointUnit } from '@zk0/core';
import { armOf, canonicalNames, isSoJoint, isSoRobot, jointOf } from './joint-names.ts';
import { findSteps, type StepEvidence, type StepKind } from './lattice.ts';
import { kindsOfParts } from './parts.ts';

/** How all joints of an arm are recorded. Grippers are `percent` beside all of them but `radians` and `ticks`. */
export type UnitConvention = 'degrees' | 'degrees-2024' | 'normalized' | 'radians' | 'ticks';
export const UNIT_CONVENTIONS: readonly UnitConvention[] = ['degrees', 'degrees-2024', 'normalized', 'radians', 'ticks'];

/** What is known of a vector besides its values. */
export interface UnitHints {
  readonly robotType: string;
  /** Names of the values, as recorded. */
  readonly names: readonly string[];
  /** Format version, e.g. `v2.1`. */
  readonly version: string;
}

/** What was found, and why. */
export interface UnitInference {
  readonly joints: readonly JointConvention[];
  /** In words, for people. */
  readonly why: string;
}

/** Frames looked at. */
const MAX_FRAMES = 6000;

/** From this confidence on a unit counts as known. */
export const KNOWN_CONFIDENCE = 0.9;

/** No joint of these arms turns further than this from its middle, in radians. */
const MAX_RADIANS = 3.6;

/**
 * Radians (86°) that two joints turn before small values without an encoder's steps are taken for radians: in degrees, that is an arm
 * that moves, and is never further than 3.6° from the middle of any joint.
 */
const TURNED_RADIANS = 1.5;

/** Degrees: lift and elbow of an arm that works are not both above this all the time, unless they are counted from the old zero. */
const ALWAYS_BENT = 45;

/** Of an arm whose values fit several conventions; below it they contradict each other. */
const SILENT_CONFIDENCE = 0.6;

/** Beyond the ends of a normalised range by more than rounding. */
const BEYOND = 0.6;

/**
 * Infers the units of every joint from the values: from the steps that an encoder leaves in them, from ranges that one convention
 * cannot have and another has, and, where those are silent, from names and the robot's type, which make it likely and no more.
 *
 * LeRobot recorded SO-100 arms in degrees until mid 2025 (arm extended = 0), in −100 … 100 since (lerobot #777), and in degrees again
 * since February 2026 (lerobot #2968, middle of the range = 0).
 *
 * @param values `frames × names.length`, row-major
 */
export function inferUnits(values: Float32Array, { robotType, names, version }: UnitHints): UnitInference {
  const size = names.length;
  const canonical = canonicalNames(names, robotType);
  const columns = canonical.map((_, joint) => columnOf(values, size, joint));
  const ranges = columns.map(rangeOf);
  const isSo = isSoRobot(robotType) || canonical.filter(isSoJoint).length >= 5;
  const steps = columns.map((column, joint) => findSteps(column, isSo ? (jointOf(canonical[joint]!) === 'gripper' ? 'percent' : 'normalized') : null));
  if (!isSo) return inferGeneric(steps, ranges);
  const verdicts = new Map<string, Verdict>();
  for (const arm of new Set(canonical.map(armOf))) {
    const own = canonical.flatMap((name, joint) => (armOf(name) === arm ? [joint] : []));
    const isGripper = (joint: number): boolean => jointOf(canonical[joint]!) === 'gripper';
    const [joints, grippers] = [own.filter((joint) => !isGripper(joint)), own.filter(isGripper)];
    const bent = own.filter((joint) => ['shoulder_lift', 'elbow_flex'].includes(jointOf(canonical[joint]!)));
    const verdict = inferSo({
      steps: joints.map((joint) => steps[joint]!),
      ranges: joints.map((joint) => ranges[joint]!),
      grippers: grippers.map((joint) => ranges[joint]!),
      kinds: kindsOfParts(joints.map((joint) => columns[joint]!)),
      bent: bent.map((joint) => ranges[joint]!),
      isOldName: names.some((name) => /^main_/.test(name)),
      isNewName: names.some((name) => name.endsWith('.pos')),
      robotType,
      version,
    });
    verdicts.set(arm, verdict);
  }
  const agreed = withBorrowed(verdicts);
  const joints = canonical.map((name, joint) => {
    const { convention, confidence } = agreed.get(armOf(name))!;
    return conventionOf(convention, name, steps[joint]!, ranges[joint]!, confidence);
  });
  const reasons = [...agreed].map(([arm, { why }]) => ({ arm, why }));
  const isOne = new Set(reasons.map(({ why }) => why)).size === 1;
  return { joints, why: isOne ? reasons[0]!.why : reasons.map(({ arm, why }) => `${arm === '' ? 'others' : arm}: ${why}`).join('; ') };
}

/** An arm whose values tell nothing is recorded as the one beside it: one recorder writes both. */
function withBorrowed(verdicts: ReadonlyMap<string, Verdict>): ReadonlyMap<string, Verdict> {
  const [best] = [...verdicts.values()].sort((a, b) => b.confidence - a.confidence);
  const isSilent = ({ convention, confidence }: Verdict): boolean => convention !== null && confidence >= SILENT_CONFIDENCE && confidence < KNOWN_CONFIDENCE;
  return new Map(
    [...verdicts].map(([arm, verdict]) => [arm, best!.confidence >= KNOWN_CONFIDENCE && isSilent(verdict) ? { ...best!, why: `as the other arm: ${best!.why}` } : verdict]),
  );
}

/** The units of every joint where somebody stated them. */
export function statedUnits(convention: UnitConvention, values: Float32Array, { robotType, names }: UnitHints): UnitInference {
  const canonical = canonicalNames(names, robotType);
  const joints = canonical.map((name, joint) => {
    const column = columnOf(values, names.length, joint);
    return conventionOf(convention, name, findSteps(column, jointOf(name) === 'gripper' ? 'percent' : 'normalized'), rangeOf(column), 1);
  });
  return { joints, why: 'as stated' };
}

interface Range {
  readonly min: number;
  readonly max: number;
  /** How many values are at −100 or 100 exactly. */
  readonly atEnds: number;
}

interface SoEvidence {
  readonly steps: readonly (StepEvidence | null)[];
  readonly ranges: readonly Range[];
  readonly grippers: readonly Range[];
  /** What parts of the recording are, one after the other, each kind once. */
  readonly kinds: readonly StepKind[];
  /** Ranges of shoulder lift and elbow, whose zeros the two conventions of degrees put elsewhere. */
  readonly bent: readonly Range[];
  readonly isOldName: boolean;
  readonly isNewName: boolean;
  readonly robotType: string;
  readonly version: string;
}

interface Verdict {
  readonly convention: UnitConvention | null;
  readonly confidence: number;
  readonly why: string;
}

function inferSo(evidence: SoEvidence): Verdict {
  const { steps, ranges, kinds } = evidence;
  if (kinds.length > 1) return { convention: null, confidence: 0, why: `parts of it are in ${kinds.join(' and ')}: split it by episodes, and state the units of each part` };
  const votes = steps.flatMap((one) => (one === null ? [] : [one.kind]));
  const most = mostOf(votes);
  const largest = Math.max(...ranges.map(({ min, max }) => Math.max(-min, max)));
  const smallest = Math.min(...ranges.map(({ min }) => min));
  if (most !== null && votes.filter((kind) => kind === most).length * 2 > votes.length) {
    const why = `the steps between values are those of an encoder in ${most}`;
    if (most === 'degrees') return whichDegrees(evidence, 0.99, why);
    if (most === 'normalized' && largest <= 100 + BEYOND) return { convention: 'normalized', confidence: 0.99, why: `${why}, over the range of each joint` };
    if (most === 'ticks' && smallest >= 0 && largest > 400) return { convention: 'ticks', confidence: 0.99, why };
    if (most === 'radians' && largest < 7) return { convention: 'radians', confidence: 0.99, why };
  }
  if (smallest >= 0 && largest > 400) return { convention: 'ticks', confidence: 0.95, why: `values reach ${largest.toFixed(0)}, beyond any angle` };
  if (largest > 400) return { convention: null, confidence: 0, why: `values reach ${largest.toFixed(0)}, beyond any angle, and are not encoder counts either` };
  if (largest <= MAX_RADIANS) return perhapsRadians(evidence, largest);
  if (largest > 100 + BEYOND) return whichDegrees(evidence, 0.95, `values reach ${largest.toFixed(1)}, beyond −100 … 100`);
  const atEnds = ranges.filter((range) => range.atEnds >= 3).length;
  if (atEnds >= 1) return { convention: 'normalized', confidence: 0.95, why: `${atEnds} joints stand at −100 or 100 exactly, the ends of a normalised range` };
  return likelyOf(evidence);
}

/** Small values: radians, or an arm that stays near the middle of all joints. */
function perhapsRadians({ ranges, grippers }: SoEvidence, largest: number): Verdict {
  const small = `values reach ${largest.toFixed(2)} at most`;
  const opened = Math.max(0, ...grippers.map(({ max }) => max));
  if (opened > MAX_RADIANS) return { convention: 'normalized', confidence: 0.5, why: `${small}, yet the gripper's reach ${opened.toFixed(1)}: the arm hardly moves, in whatever units` };
  const turned = ranges.filter(({ min, max }) => max - min >= TURNED_RADIANS).length;
  if (turned >= 2) return { convention: 'radians', confidence: 0.95, why: small };
  return { convention: 'radians', confidence: 0.6, why: `${small}, and the arm hardly moves if that is degrees` };
}

/** Nothing in the values tells: names and the robot's type say what was usual. */
function likelyOf(evidence: SoEvidence): Verdict {
  const { isOldName, isNewName, robotType } = evidence;
  const silent = 'the values fit degrees and −100 … 100';
  if (isOldName || (!isNewName && !/follower/.test(robotType))) {
    return whichDegrees(evidence, 0.7, `${silent}; recorders that name joints so wrote degrees`);
  }
  if (/^so_?follower/.test(robotType)) return { convention: 'degrees', confidence: 0.7, why: `${silent}; recorders of ${robotType} write degrees by default` };
  return { convention: 'normalized', confidence: 0.7, why: `${silent}; recorders of ${robotType} wrote −100 … 100 by default` };
}

/** The old zero of shoulder lift and elbow is the arm extended, so that both are hardly ever negative and reach 180. */
function whichDegrees({ bent, isOldName, isNewName, version }: SoEvidence, confidence: number, why: string): Verdict {
  const highest = Math.max(-Infinity, ...bent.map(({ max }) => max));
  const lowest = Math.min(Infinity, ...bent.map(({ min }) => min));
  if (highest > 125 && lowest < -25) {
    return { convention: 'degrees', confidence: 0.5, why: `${why}; shoulder lift and elbow go from ${lowest.toFixed(0)}° to ${highest.toFixed(0)}°, further than they turn: it is counted from two zeros` };
  }
  if (highest > 125) return { convention: 'degrees-2024', confidence, why: `${why}; shoulder lift and elbow reach ${highest.toFixed(0)}°, as before mid 2025` };
  if (lowest < -25) return { convention: 'degrees', confidence, why: `${why}; shoulder lift and elbow go down to ${lowest.toFixed(0)}°, from the middle of their range` };
  if (isNewName && lowest > ALWAYS_BENT) {
    return { convention: 'degrees', confidence: Math.min(confidence, 0.6), why: `${why}; shoulder lift and elbow are always above ${lowest.toFixed(0)}°, as where they are counted from the zero before mid 2025` };
  }
  if (isNewName) return { convention: 'degrees', confidence: Math.min(confidence, 0.95), why: `${why}; joints are named as since mid 2025` };
  if (isOldName) return { convention: 'degrees-2024', confidence: Math.min(confidence, 0.95), why: `${why}; joints are named as before mid 2025` };
  return { convention: version === 'v3.0' ? 'degrees' : 'degrees-2024', confidence: Math.min(confidence, 0.6), why: `${why}; which zero they are counted from is not told` };
}

/** Robots whose joints are not known: only units that all robots share. */
function inferGeneric(steps: readonly (StepEvidence | null)[], ranges: readonly Range[]): UnitInference {
  const joints = ranges.map((_, joint): JointConvention => {
    const kind = steps[joint]?.kind;
    if (kind === 'degrees' || kind === 'radians') return { unit: kind, confidence: 0.9 };
    return { unit: 'unknown', confidence: 0 };
  });
  return { joints, why: 'the robot is not one whose conventions are known' };
}

function conventionOf(convention: UnitConvention | null, name: string, steps: StepEvidence | null, { min, max }: Range, confidence: number): JointConvention {
  if (convention === null) return { unit: 'unknown', confidence: 0 };
  if (jointOf(name) === 'gripper' && convention !== 'radians' && convention !== 'ticks') {
    const isPercent = min >= -BEYOND - 10 && max <= 100 + BEYOND + 10;
    return isPercent ? { unit: 'percent', confidence } : { unit: 'unknown', confidence: 0 };
  }
  const unit: JointUnit = convention;
  if (convention !== 'normalized' || steps?.range === undefined) return { unit, confidence };
  return { unit, confidence, degreesPerUnit: (steps.range * (360 / 4095)) / 200 };
}

function mostOf(votes: readonly StepEvidence['kind'][]): StepEvidence['kind'] | null {
  const counts = new Map<StepEvidence['kind'], number>();
  for (const vote of votes) counts.set(vote, (counts.get(vote) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

/** Values of one joint, evenly spread over the frames. */
function columnOf(values: Float32Array, size: number, joint: number): Float32Array {
  const frames = values.length / size;
  const count = Math.min(frames, MAX_FRAMES);
  return Float32Array.from({ length: count }, (_, i) => values[Math.floor((i * frames) / count) * size + joint]!);
}

function rangeOf(values: Float32Array): Range {
  let [min, max, atEnds] = [Infinity, -Infinity, 0];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    if (value === -100 || value === 100) atEnds++;
  }
  return { min, max, atEnds };
}

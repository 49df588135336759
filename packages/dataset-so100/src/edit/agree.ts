import type { JointConvention } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { readRows } from '../read/rows.ts';
import { momentsOf } from '../stats/moments.ts';
import { KNOWN_CONFIDENCE, type UnitConvention } from '../units/infer-units.ts';
import { unitsOf } from '../units/units-of.ts';
import type { EditSource } from './edit-source.ts';

/** Frames that are looked at to tell the units of a dataset: an hour and a half at 30 frames a second. */
const UNIT_FRAMES = 162_000;

/** Values of unknown units whose ranges differ by more than this factor are of two: a radian is 57 degrees, a degree 11 counts. */
const RANGE_FACTOR = 8;

/** What the values of a dataset mean. */
export interface Meaning {
  readonly joints: { readonly state: readonly JointConvention[]; readonly action: readonly JointConvention[] };
  /** Largest less smallest value. */
  readonly ranges: { readonly state: readonly number[]; readonly action: readonly number[] };
}

/**
 * Looks at the first rows of a dataset to tell what its values mean.
 *
 * @param stated the units where they cannot be inferred
 */
export async function meaningOf({ recording, episodes, tables }: EditSource, stated?: UnitConvention): Promise<Meaning> {
  const looked: EpisodeRecord[] = [];
  for (let frames = 0; looked.length < episodes.length && (frames < UNIT_FRAMES || looked.length === 0); ) {
    const next = episodes[looked.length]!;
    looked.push(next);
    frames += next.length;
  }
  const rows = await readRows(recording, looked, tables);
  const { info } = recording;
  const extents = (values: Float32Array, size: number): number[] => {
    const { min, max } = momentsOf(values, size);
    return max.map((most, i) => most - min[i]!);
  };
  return {
    joints: unitsOf(info, rows, stated).joints,
    ranges: { state: extents(rows.state, info.state.names.length), action: extents(rows.action, info.action.names.length) },
  };
}

/** A dataset and what its values mean. */
export interface MeaningfulSource {
  readonly source: EditSource;
  readonly meaning: Meaning;
}

/**
 * Proves that a dataset can be put behind another in one: the same frame rate, robot, joints in the same order and units, and cameras
 * of the same kind and size.
 *
 * @param robotType what the robot of both is called, where that was stated
 * @throws DatasetError `DATASET_UNLIKE` naming both and every difference
 */
export function assertAgree(first: MeaningfulSource, other: MeaningfulSource, robotType?: string): void {
  const [a, b] = [first.source.recording.info, other.source.recording.info];
  const differences: string[] = [];
  const compare = (what: string, one: string | number, two: string | number): void => {
    if (one !== two) differences.push(`${what}: ${one} and ${two}`);
  };
  compare('frames a second', a.fps, b.fps);
  if (robotType === undefined) compare('robot type', a.robotType, b.robotType);
  for (const kind of ['state', 'action'] as const) {
    const [one, two] = [a[kind].names, b[kind].names];
    compare(`values of the ${kind}`, one.join(', '), two.join(', '));
    if (one.join() === two.join()) differences.push(...unitDifferences(kind, one, first.meaning, other.meaning));
  }
  compare('cameras', camerasOf(first.source), camerasOf(other.source));
  if (differences.length === 0) return;
  throw new DatasetError('DATASET_UNLIKE', `${other.source.uri} cannot be merged with ${first.source.uri}; they differ in ${differences.join('; in ')}`, {
    hint: hintFor(differences),
  });
}

function hintFor(differences: readonly string[]): string {
  if (differences.every((difference) => difference.startsWith('robot type'))) return 'Where both are one kind of robot, say what it is called: --robot-type NAME.';
  if (differences.every((difference) => difference.startsWith('units'))) return 'State the units of all, where they were inferred wrongly: --units. `zk0-client dataset inspect` shows the values.';
  return 'Several datasets that are not alike can be trained on as one all the same: give --dataset more than once.';
}

function unitDifferences(kind: 'state' | 'action', names: readonly string[], a: Meaning, b: Meaning): string[] {
  return names.flatMap((name, i) => {
    const [one, two] = [a.joints[kind][i]!, b.joints[kind][i]!];
    if (one.unit !== two.unit) return [`units of ${kind} ${name}: ${inWords(one)} and ${inWords(two)}`];
    const [wide, narrow] = [Math.max(a.ranges[kind][i]!, b.ranges[kind][i]!), Math.min(a.ranges[kind][i]!, b.ranges[kind][i]!)];
    // A joint that hardly moved in one of them says nothing.
    if (one.unit !== 'unknown' || narrow === 0 || wide / narrow < RANGE_FACTOR) return [];
    return [`range of ${kind} ${name}, whose units are unknown: ${a.ranges[kind][i]!.toPrecision(3)} and ${b.ranges[kind][i]!.toPrecision(3)}`];
  });
}

function inWords({ unit, confidence }: JointConvention): string {
  return confidence >= KNOWN_CONFIDENCE ? unit : `${unit} (${Math.round(confidence * 100)} % sure)`;
}

function camerasOf(source: EditSource): string {
  const list = (kind: string, cameras: EditSource['videoCameras']): string[] => cameras.map(({ key, width, height }) => `${key} (${kind}, ${width}×${height})`);
  return [...list('video', source.videoCameras), ...list('pictures', source.pictureCameras)].join(', ') || 'none';
}

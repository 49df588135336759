import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { datasetProfile, jointConventionSchema, type RobotDataset } from '@zk0/core';
import { describePointer, parsePointer, writeFileAtomic } from '@zk0/storage';
import * as z from 'zod';
import { DatasetError } from '../errors.ts';
import { alignedDataset } from './aligned-dataset.ts';
import { alignRecording, type AlignmentTarget } from './align-recordings.ts';
import { KNOWN_CONFIDENCE } from './infer-units.ts';

/** The file of a checkpoint that says what its policy was trained on; named like LeRobot's own, which leaves it alone. */
export const TARGET_FILE = 'policy_recordings.json';

const MAX_BYTES = 1 << 20;
const names = z.array(z.string().max(200)).min(1).max(256);
const conventions = z.array(jointConventionSchema).max(256);
const targetSchema = z
  .strictObject({
    fps: z.number().gt(0).max(10_000),
    robotType: z.string().max(200),
    stateNames: names,
    actionNames: names,
    joints: z.strictObject({ state: conventions, action: conventions }).nullable(),
  })
  .refine(({ joints, stateNames, actionNames }) => joints === null || (joints.state.length === stateNames.length && joints.action.length === actionNames.length), {
    message: 'units and names differ in length',
  });

/**
 * Writes into a checkpoint's folder what its policy was trained on: joints in order, their units, the frame rate. Units that nobody was
 * sure of are left out, and so is whatever would tell of the recordings themselves.
 */
export async function writeAlignmentTarget(directory: string, { fps, robotType, stateNames, actionNames, joints }: AlignmentTarget): Promise<void> {
  const isKnown = joints !== null && [...joints.state, ...joints.action].every(({ confidence }) => confidence >= KNOWN_CONFIDENCE);
  const said = { fps, robotType, stateNames, actionNames, joints: isKnown ? joints : null };
  await writeFileAtomic(path.join(directory, TARGET_FILE), `${JSON.stringify(said, null, 2)}\n`);
}

/**
 * Reads what a checkpoint's policy was trained on; null where the checkpoint does not say, as those of other programs.
 *
 * @throws DatasetError `DATASET_METADATA` where the file is damaged; `DATASET_FILE_POINTER` where a pointer of git-lfs stands in its place
 */
export async function readAlignmentTarget(directory: string): Promise<AlignmentTarget | null> {
  const file = path.join(directory, TARGET_FILE);
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new DatasetError('DATASET_METADATA', `${file} cannot be read`, { file, cause });
  });
  if (text === null) return null;
  const pointer = parsePointer(Buffer.from(text));
  if (pointer !== null) {
    const { message, hint } = describePointer(file, pointer);
    throw new DatasetError('DATASET_FILE_POINTER', message, { file, hint });
  }
  const parsed = targetSchema.safeParse(text.length > MAX_BYTES ? null : jsonOf(text));
  if (!parsed.success) {
    throw new DatasetError('DATASET_METADATA', `${file} does not say what the policy was trained on: ${z.prettifyError(parsed.error).slice(0, 200)}`, {
      file,
      hint: 'Take the checkpoint again from where it came from, or delete the file: recordings are then used as they are.',
    });
  }
  const { stateNames, actionNames } = parsed.data;
  // Ranges of nothing: they are compared where units are unknown, and zero says nothing.
  const ranges = { state: stateNames.map(() => 0), action: actionNames.map(() => 0) };
  return { ...parsed.data, recording: undefined, ranges };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Brings a dataset to a target: joints in its order, values in its units.
 *
 * @param of what the target is of, in words: `the run`, `the policy`
 * @throws DatasetError `DATASET_UNLIKE` where it cannot be brought there, with the reason
 */
export function alignToTarget(dataset: RobotDataset, target: AlignmentTarget, of: string): { readonly dataset: RobotDataset; readonly notes: readonly string[] } {
  const { info } = dataset;
  const decision = alignRecording(datasetProfile(info), target);
  if (decision.kind === 'refused') {
    throw new DatasetError('DATASET_UNLIKE', `${info.uri} does not agree with the recordings of ${of}: ${decision.reason}`, { hint: decision.hint });
  }
  return { dataset: alignedDataset(dataset, decision.alignment), notes: decision.notes.map((note) => `${info.name}: ${note}`) };
}

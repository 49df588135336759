import * as z from 'zod';
import type { RobotDatasetInfo } from '../contracts/robot-dataset.ts';

/** Bounds on what a client may claim; far above any real robot. */
const MAX_AXES = 256;
const MAX_CAMERAS = 16;

const names = z.array(z.string().max(200)).min(1).max(MAX_AXES);
const vector = z.array(z.number()).min(1).max(MAX_AXES);
const momentsSchema = z
  .strictObject({ count: z.int().min(1), mean: vector, m2: vector, min: vector, max: vector })
  .refine(({ mean, m2, min, max }) => [m2, min, max].every(({ length }) => length === mean.length), {
    message: 'mean, m2, min and max differ in length',
  })
  .refine(({ m2 }) => m2.every((value) => value >= 0), { message: 'm2 is negative' });

/** What the values of a joint mean, and how sure that is. */
export const jointConventionSchema = z.strictObject({
  unit: z.enum(['degrees', 'degrees-2024', 'normalized', 'percent', 'radians', 'ticks', 'unknown']),
  confidence: z.number().min(0).max(1),
  degreesPerUnit: z.number().gt(0).max(100).exactOptional(),
});
const conventions = z
  .array(jointConventionSchema)
  .min(1)
  .max(MAX_AXES);

/**
 * What a client tells the server about itself when it joins. No frames, no task texts, no paths: sizes, joint names
 * and the moments that a common normaliser needs.
 */
export const clientProfileSchema = z
  .strictObject({
    dataset: z.strictObject({
      name: z.string().min(1).max(200),
      commit: z.string().regex(/^[0-9a-f]{40}$/).exactOptional(),
      contentHash: z.string().regex(/^[0-9a-f]{64}$/),
      /** The content hash without renamed cameras: who has the same recordings has the same, whatever they are called. */
      recordedHash: z.string().regex(/^[0-9a-f]{64}$/).exactOptional(),
      robotType: z.string().max(200),
      fps: z.number().gt(0).max(10_000),
      episodes: z.int().min(1),
      frames: z.int().min(1),
      stateNames: names,
      actionNames: names,
      cameras: z
        .array(z.strictObject({ key: z.string().min(1).max(200), height: z.int().min(1), width: z.int().min(1) }))
        .max(MAX_CAMERAS),
      moments: z.strictObject({ state: momentsSchema, action: momentsSchema }),
      /** Units of every joint, as inferred or stated. */
      joints: z.strictObject({ state: conventions, action: conventions }).exactOptional(),
      /** Hex SHA-256 that parts of one recording have in common. */
      recording: z.string().regex(/^[0-9a-f]{64}$/).exactOptional(),
    }),
    device: z.string().max(100),
    /** The moments are those of ranges that everybody knows, not of the recordings: the client takes part in private runs. */
    private: z.boolean().exactOptional(),
  })
  .refine(({ dataset }) => dataset.moments.state.mean.length === dataset.stateNames.length, {
    message: 'state moments and state names differ in length',
  })
  .refine(({ dataset }) => dataset.moments.action.mean.length === dataset.actionNames.length, {
    message: 'action moments and action names differ in length',
  })
  .refine(({ dataset: { joints, stateNames, actionNames } }) => {
    return joints === undefined || (joints.state.length === stateNames.length && joints.action.length === actionNames.length);
  }, { message: 'units and names differ in length' });

export type ClientProfile = z.infer<typeof clientProfileSchema>;

/** A dataset's share of a {@link ClientProfile}. */
export function datasetProfile(info: RobotDatasetInfo): ClientProfile['dataset'] {
  const copy = ({ count, mean, m2, min, max }: RobotDatasetInfo['moments']['state']): ClientProfile['dataset']['moments']['state'] => ({
    count,
    mean: [...mean],
    m2: [...m2],
    min: [...min],
    max: [...max],
  });
  return {
    name: info.name,
    ...(info.commit === undefined ? {} : { commit: info.commit }),
    contentHash: info.contentHash,
    ...(info.recordedHash === undefined ? {} : { recordedHash: info.recordedHash }),
    robotType: info.robotType,
    fps: info.fps,
    episodes: info.episodes.length,
    frames: info.frameCount,
    stateNames: [...info.stateNames],
    actionNames: [...info.actionNames],
    cameras: info.cameras.map(({ key, height, width }) => ({ key, height, width })),
    moments: { state: copy(info.moments.state), action: copy(info.moments.action) },
    ...(info.joints === undefined ? {} : { joints: { state: info.joints.state.map((one) => ({ ...one })), action: info.joints.action.map((one) => ({ ...one })) } }),
    ...(info.recording === undefined ? {} : { recording: info.recording }),
  };
}

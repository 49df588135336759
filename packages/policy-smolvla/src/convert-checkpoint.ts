import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPolicy } from './open-policy.ts';
import type { OpenPolicyOptions, SaveCheckpointOptions } from './policy.ts';

/** Written by whoever trains on recordings, beside the files of LeRobot. */
const RECORDINGS_FILE = 'policy_recordings.json';

/** How a checkpoint is turned into another form. */
export interface ConvertCheckpointOptions extends Pick<OpenPolicyOptions, 'cacheDirectory' | 'signal' | 'onProgress'> {
  readonly form: NonNullable<SaveCheckpointOptions['form']>;
  /**
   * The policy that has the frozen weights. To `full`: needed where the trained weights do not name it. To `trained`: a
   * preset or hub address to name in them, after checking that its frozen weights are these.
   */
  readonly base?: string;
}

/**
 * Writes a checkpoint in another form: trained weights alone, or joined with their frozen base as LeRobot loads them. The
 * weights, the features and the normaliser stay the same, to the byte.
 *
 * @param source a checkpoint of either form
 * @param target a directory that is not there yet
 * @throws PolicyError POLICY_WEIGHTS_MISSING, POLICY_BASE_MISMATCH, FEATURES_MISMATCH; StorageError
 */
export async function convertCheckpoint(source: string, target: string, options: ConvertCheckpointOptions): Promise<void> {
  const { form, base, ...open } = options;
  const policy = await openPolicy(source, { ...open, device: 'cpu', ...(base === undefined ? {} : { base }) });
  try {
    await policy.saveCheckpoint(target, await policy.initialParameters(), { form });
    // What the weights were trained on, where the checkpoint says it: still true of them.
    await copyFile(join(policy.directory, RECORDINGS_FILE), join(target, RECORDINGS_FILE)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
  } finally {
    await policy.close();
  }
}

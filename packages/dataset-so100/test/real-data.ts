import { existsSync } from 'node:fs';
import path from 'node:path';

/** Where real recordings are, if this machine has them: `ZK0_TEST_DATA`, or `../shared/data` beside the repository. */
const root = process.env['ZK0_TEST_DATA'] ?? path.resolve(import.meta.dirname, '../../../../shared/data');

export const REAL_SETS = ['so101_bimanual_cloth', 'cr5_banana_plate', 'so101_no_camera', 'so101_one_episode'] as const;

/** Path of a real recording. */
export function realSet(name: (typeof REAL_SETS)[number]): string {
  return path.join(root, name);
}

/** False where the real recordings are absent; the tests that need them are skipped then. */
export const hasRealData = REAL_SETS.every((name) => existsSync(realSet(name)));

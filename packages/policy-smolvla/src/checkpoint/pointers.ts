import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { refusePointerFiles } from '@zk0/storage';
import { POLICY_FILES } from './hub-files.ts';

/**
 * Refuses a policy's directory with a pointer of git-lfs or git-annex in place of any file, also of those that are only copied into
 * checkpoints (the postprocessor, the processors of the vision-language model).
 *
 * @throws StorageError `FILE_POINTER` naming it
 */
export async function refusePointers(directory: string): Promise<void> {
  const list = async (folder: string): Promise<string[]> => await readdir(join(directory, folder)).catch(() => []);
  const names = [...(await list('')), ...(await list('vlm')).map((name) => `vlm/${name}`)];
  await refusePointerFiles(names.filter((name) => POLICY_FILES.test(name)).sort().map((name) => join(directory, name)));
}

import { readdir, readFile } from 'node:fs/promises';
import type { PageFile } from '@zk0/core';
import { DashboardError } from '../errors.ts';
import { pageFiles } from './page-files.ts';

/**
 * The files of the page as the build of this package left them beside this module.
 *
 * @throws DashboardError `PAGE_FILES_MISSING`
 */
export async function loadPage(): Promise<ReadonlyMap<string, PageFile>> {
  const folder = new URL('./page/', import.meta.url);
  try {
    const names = await readdir(folder);
    return pageFiles(new Map(await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, folder))] as const))));
  } catch (cause) {
    throw new DashboardError('PAGE_FILES_MISSING', 'the files of the page are not in the installed package', { cause, hint: 'Install zk0 again.' });
  }
}

import { fileURLToPath } from 'node:url';
import type { PageFile } from '@zk0/core';
import { bundlePage } from './bundle-page.ts';
import { pageFiles } from './page-files.ts';

/** Bundled once a process. */
let bundled: Promise<ReadonlyMap<string, PageFile>> | undefined;

/** The files of the page, bundled from the sources in this repository: what runs unbuilt shows what the sources say. */
export function loadPage(): Promise<ReadonlyMap<string, PageFile>> {
  return (bundled ??= bundlePage(fileURLToPath(new URL('../../page', import.meta.url))).then(pageFiles));
}

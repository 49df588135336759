import { isAbsolute, relative, resolve } from 'node:path';
import { Zk0Error, type RunConfig } from '@zk0/core';

/** Addresses that name nothing on this machine. */
const ELSEWHERE = /^(?:hf|demo):/;
/** A preset's name: no path. */
const PRESET = /^[a-z][a-z0-9-]*$/;

/**
 * Refuses a submitted run that names files of the server's machine outside the folders that its operator listed: a path in a
 * configuration would otherwise tell whoever submits it what is there.
 *
 * @param folders Folders under which policies and held-out datasets may be named by path.
 * @throws Zk0Error `SOURCE_NOT_ALLOWED`
 */
export function checkSources({ policy, heldOut }: Pick<RunConfig, 'policy' | 'heldOut'>, folders: readonly string[]): void {
  const allowed = (source: string): boolean => {
    if (ELSEWHERE.test(source)) return true;
    const [path = ''] = source.replace(/^local:/, '').split('?');
    return folders.some((folder) => isInside(resolve(folder), resolve(path)));
  };
  if (!PRESET.test(policy)) refuseUnless(allowed(policy), `policy ${policy}`);
  for (const uri of heldOut) refuseUnless(allowed(uri), `held-out dataset ${uri}`);
}

function refuseUnless(allowed: boolean, what: string): void {
  if (allowed) return;
  throw new Zk0Error('SOURCE_NOT_ALLOWED', `${what} is not in a folder that this server opens for runs`, {
    hint: 'Name it on the hub (hf:owner/name), or start the server with --allow-folder.',
  });
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === '' || (!way.startsWith('..') && !isAbsolute(way));
}

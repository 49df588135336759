import { temporaryPath } from '../src/temporary.ts';

/** Parts of the name of a temporary file: what process made it. */
export interface Maker {
  readonly scope?: string;
  readonly pid?: number;
  readonly birth?: string;
}

/** A temporary name beside `path` as another process would have made it; what is not named is this process's own. */
export function temporaryOf(path: string, { scope, pid, birth }: Maker, kind: 'tmp' | 'old' = 'tmp'): string {
  return temporaryPath(path, kind).replace(
    /\.([0-9a-f]{8})-(\d+)-(\d+)(-[0-9a-f]{12}\.\w+)$/,
    (_all, ownScope: string, ownPid: string, ownBirth: string, rest: string) =>
      `.${scope ?? ownScope}-${pid ?? ownPid}-${birth ?? ownBirth}${rest}`,
  );
}

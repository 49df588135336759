import { errorMessage, Zk0Error } from '@zk0/core';

const MAX_MESSAGE = 1000;
/** The same in quotes, which may hold spaces. */
const QUOTED_PATH = /(?<quote>['"`])(?:[A-Za-z]:)?[\\/][^'"`]*[\\/](?<name>[^\\/'"`]*)\k<quote>/g;
/** An absolute path, POSIX or Windows, with at least one folder in it. */
const PATH = /(?:\b[A-Za-z]:)?[\\/](?:[^\s\\/'"`,;:()<>]+[\\/])+(?<name>[^\s\\/'"`,;:()<>]*)/g;

/**
 * What another machine may read of an error here: its message with folders taken out of paths, since they name people and projects. What
 * is no `Zk0Error` nobody foresaw; its text stays here.
 */
export function publicMessage(error: unknown): string {
  if (!(error instanceof Zk0Error)) return 'the client failed; its own log says why';
  return withoutFolders(errorMessage(error)).slice(0, MAX_MESSAGE);
}

/** `text` with folders taken out of absolute paths. */
export function withoutFolders(text: string): string {
  return text.replaceAll(QUOTED_PATH, '$<quote>…/$<name>$<quote>').replaceAll(PATH, '…/$<name>');
}

import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can go wrong with the page. */
export const DASHBOARD_ERROR_CODES = [
  /** The page asks for something that does not exist, or with values that are none. */
  'PAGE_REQUEST_INVALID',
  /** The files of the page are missing. */
  'PAGE_FILES_MISSING',
] as const;

export type DashboardErrorCode = (typeof DASHBOARD_ERROR_CODES)[number];

/** A failure of the page's own. */
export class DashboardError extends Zk0Error {
  declare readonly code: DashboardErrorCode;

  constructor(code: DashboardErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}

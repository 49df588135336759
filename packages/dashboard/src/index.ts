/**
 * @module
 * The page that operators keep open: runs, rounds, clients and the log of a server, live in a browser.
 */
export { createDashboard, type Dashboard, type DashboardOptions } from './dashboard.ts';
export { DashboardError, type DashboardErrorCode } from './errors.ts';
export type { DashboardLogRecord, DashboardSources, EnrolledNode, NodeDirectory } from './feed/sources.ts';
export { emptyView, type ClientView, type LogLine, type PageView, type RoundView, type RunView, type ClipView, type SuccessView } from './model/view.ts';
export type { PageEvent, RunChange } from './model/events.ts';
export { reducePage } from './model/reduce.ts';

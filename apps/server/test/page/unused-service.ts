import type { FederationService } from '@zk0/core';

const unused = (): never => {
  throw new Error('the page asked what only clients ask');
};

/** What clients call; tests of the page have none. */
export const unusedService: FederationService = {
  join: unused,
  poll: unused,
  heartbeat: unused,
  result: unused,
  leave: unused,
  report: unused,
  changeRun: unused,
  authorizeUpload: unused,
  authorizeDownload: unused,
  status: () => Promise.resolve({}),
  submitRun: unused,
  stopRun: unused,
  events: unused,
};

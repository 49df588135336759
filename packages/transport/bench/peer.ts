/** The server of the bench, a process of its own so that each side's memory is its own. */
import type { FederationService } from '@zk0/core';
import { openBlobStore } from '@zk0/storage';
import { createTransportServer } from '../src/index.ts';

const refuse = (): Promise<never> => Promise.reject(new Error('the bench moves blobs only'));
const service: FederationService = {
  join: () => Promise.resolve({ accepted: true }),
  poll: refuse,
  heartbeat: () => Promise.resolve({ continue: true }),
  result: refuse,
  leave: refuse,
  authorizeUpload: () => Promise.resolve(),
  authorizeDownload: () => Promise.resolve(),
  status: () => {
    const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
    return Promise.resolve({ peakRssMb: Math.round(maxRSS / 1024), cpuMs: (userCPUTime + systemCPUTime) / 1000 });
  },
  submitRun: refuse,
  stopRun: refuse,
  events: () => {
    throw new Error('the bench has no events');
  },
};

const blobs = await openBlobStore(process.argv[2]!);
const server = await createTransportServer({ host: '127.0.0.1', port: 0, blobs, service });
process.once('disconnect', () => void server.close());
process.send?.(server.url);

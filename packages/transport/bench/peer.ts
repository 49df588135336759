/** The server of the bench, a process of its own so that each side's memory is its own. */
import { openBlobStore } from '@zk0/storage';
import { createTransportServer, type TransportHandler } from '../src/index.ts';

const refuse = (): Promise<never> => Promise.reject(new Error('the bench moves blobs only'));
const handler: TransportHandler = {
  join: () => Promise.resolve({ accepted: true }),
  poll: refuse,
  progress: () => Promise.resolve({ continue: true }),
  result: refuse,
  leave: refuse,
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
const server = await createTransportServer({ host: '127.0.0.1', port: 0, blobs, handler });
process.once('disconnect', () => void server.close());
process.send?.(server.url);

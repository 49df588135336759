/** The server of the bench, a process of its own so that its memory and its processor time are its own. */
import { join } from 'node:path';
import type { ClientPrincipal, FederationService, Task } from '@zk0/core';
import { openBlobStore } from '@zk0/storage';
import { createTransportServer, openNodeRegistry } from '../src/index.ts';
import { clock, type Ask, type Usage } from './shared.ts';

const waiting = new Map<string, (task: Task) => void>();
let results = 0;
let tasks = 0;
const refuse = (): Promise<never> => Promise.reject(new Error('the bench does not ask this'));
const service: FederationService = {
  join: () => Promise.resolve({ accepted: true }),
  poll: ({ clientId }: ClientPrincipal, signal) =>
    new Promise((resolve) => {
      const gone = (): void => {
        waiting.delete(clientId);
        resolve(null);
      };
      signal.addEventListener('abort', gone, { once: true });
      waiting.set(clientId, (task) => {
        waiting.delete(clientId);
        signal.removeEventListener('abort', gone);
        resolve(task);
      });
    }),
  heartbeat: () => Promise.resolve({ continue: true }),
  result: () => {
    results++;
    return Promise.resolve({ status: 'accepted' });
  },
  leave: () => Promise.resolve(),
  report: () => Promise.resolve(),
  authorizeUpload: () => Promise.resolve(),
  authorizeDownload: () => Promise.resolve(),
  status: () => Promise.resolve({}),
  submitRun: refuse,
  stopRun: refuse,
  changeRun: refuse,
  events: () => {
    throw new Error('the bench has no events');
  },
};

/** Gives a task to a client that waits. It says when. */
function give(clientId: string): void {
  waiting.get(clientId)?.({
    taskId: `task-${tasks++}`, runId: 'bench', round: 1, kind: 'fit', attempt: 1, parameters: { hash: '0'.repeat(64), byteLength: 0 },
    instructions: { at: clock() },
  });
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return {
    rssMb: Math.round(process.memoryUsage().rss / 1e6),
    peakRssMb: Math.round((process.resourceUsage().maxRSS * 1024) / 1e6),
    cpuMs: (user + system) / 1000,
    waiting: waiting.size,
    results,
  };
}

const directory = process.argv[2]!;
const signed = process.argv[3] === 'signed';
const blobs = await openBlobStore(join(directory, 'far'));
const registry = signed ? openNodeRegistry(join(directory, 'nodes.sqlite')) : undefined;
const server = await createTransportServer({
  host: '127.0.0.1', port: 0, blobs, service, ...(registry === undefined ? {} : { registry, operatorToken: 'bench' }),
});
async function answer(ask: Ask['ask'], value: string | undefined): Promise<Usage | string | null> {
  if (ask === 'usage') return usage();
  if (ask === 'token') return (await registry!.createToken({ uses: 1000 })).token;
  for (const clientId of ask === 'all' ? [...waiting.keys()] : [value!]) give(clientId);
  return null;
}
process.on('message', ({ id, ask, value }: Ask) => {
  void answer(ask, value).then((given) => process.send?.({ id, answer: given }));
});
process.once('disconnect', () => void server.close().then(() => registry?.close()));
process.send?.(server.url);

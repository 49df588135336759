import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { watchThread } from './thread-watch.ts';

/** Runs `code` in a thread until the watch complains or the thread says that it is done. */
async function outcome(code: string, limits: { processorMs: number; wallMs: number }): Promise<string> {
  const worker = new Worker(code, { eval: true });
  try {
    return await new Promise<string>((resolve) => {
      watchThread(worker, limits, resolve);
      worker.once('message', resolve);
    });
  } finally {
    await worker.terminate();
  }
}

const say = "require('node:worker_threads').parentPort.postMessage('done');";

describe('watchThread', () => {
  it.skipIf(typeof Worker.prototype.cpuUsage !== 'function')('stops a thread that computes without end', async () => {
    await expect(outcome('for (;;);', { processorMs: 1000, wallMs: 1e6 })).resolves.toBe('it took more than 1 s of processor time');
  });

  it('lets a thread wait for longer than it may compute', async () => {
    const limits = { processorMs: 700, wallMs: 1e6 };
    await expect(outcome(`setTimeout(() => { ${say} }, 1500)`, limits)).resolves.toBe('done');
  });

  it('stops a thread that waits without end', async () => {
    await expect(outcome('setInterval(() => {}, 1000)', { processorMs: 1e6, wallMs: 1000 })).resolves.toBe('it did not end within 1 s');
  });
});

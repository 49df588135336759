/** A thread that takes pieces of an optimiser's steps. */
import { parentPort, workerData } from 'node:worker_threads';
import { cutIntoPieces, work, type OptimizerMemory, type Task } from './tasks.ts';
import type { OptimizerSettings } from './update-rules.ts';

const port = parentPort!;
const { memory, settings } = workerData as { memory: OptimizerMemory; settings: OptimizerSettings };
const pieces = cutIntoPieces(memory.weights.map(({ length }) => length));

port.on('message', (task: Task) => {
  work(memory, settings, pieces, task);
  port.postMessage('done');
});

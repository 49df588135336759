import { Worker } from 'node:worker_threads';

/**
 * Starts a thread from one of this package's own files. Built, they lie beside the entry as JavaScript; unbuilt, Node
 * runs the TypeScript.
 *
 * @param unbuilt the file, relative to `src/`, without its extension.
 */
export function startWorker(unbuilt: string, name: string, workerData: unknown): Worker {
  const isSource = import.meta.url.endsWith('.ts');
  const file = isSource ? `../${unbuilt}.ts` : `./${unbuilt.slice(unbuilt.lastIndexOf('/') + 1)}.js`;
  // All of the process's arguments for Node, but for the one that says what its main program is written in.
  const execArgv = process.execArgv.filter((argument) => !argument.startsWith('--input-type'));
  return new Worker(new URL(file, import.meta.url), { workerData, name, execArgv });
}

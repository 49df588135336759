import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

/**
 * One of this package's own files, to be started as a thread or a process. Built, they lie beside the entry as JavaScript;
 * unbuilt, Node runs the TypeScript.
 *
 * @param unbuilt the file, relative to `src/`, without its extension.
 * @returns its path, and arguments for Node: the process's own, but for those about its main program.
 */
export function ownFile(unbuilt: string): { readonly path: string; readonly execArgv: string[] } {
  const isSource = import.meta.url.endsWith('.ts');
  const file = isSource ? `../${unbuilt}.ts` : `./${unbuilt.slice(unbuilt.lastIndexOf('/') + 1)}.js`;
  const path = fileURLToPath(new URL(file, import.meta.url));
  const takesCode = (argument: string | undefined): boolean => /^(--eval|--print|-e|-p|-pe)$/.test(argument ?? '');
  const execArgv = process.execArgv.filter(
    (argument, index, all) => !takesCode(argument) && !takesCode(all[index - 1]) && !/^--(input-type|eval=|inspect)/.test(argument),
  );
  return { path, execArgv };
}

/** Starts a thread from one of this package's own files. */
export function startWorker(unbuilt: string, name: string, workerData: unknown): Worker {
  const { path, execArgv } = ownFile(unbuilt);
  return new Worker(path, { workerData, name, execArgv });
}

import { join } from 'node:path';
import { errorMessage, Zk0Error } from '@zk0/core';
import { makeDirectory } from '@zk0/storage';

/** Where a server keeps its state, below the folder of its outputs. */
export const STATE_FOLDER = '.server';

/** Files of a state folder. */
export const stateFiles = (stateDirectory: string): { readonly ledger: string; readonly nodes: string; readonly operatorToken: string } => ({
  ledger: join(stateDirectory, 'journal.sqlite'),
  nodes: join(stateDirectory, 'nodes.sqlite'),
  operatorToken: join(stateDirectory, 'operator.token'),
});

/** Makes a directory, and finds out now rather than after the first round whether it can be written. */
export function makeWritable(directory: string, flag = '--out'): void {
  try {
    makeDirectory(directory);
  } catch (error) {
    throw new Zk0Error('OUTPUT_UNWRITABLE', errorMessage(error), { cause: error, hint: `Choose another directory with ${flag}.` });
  }
}

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage, Zk0Error } from '@zk0/core';
import type { Logger, RootLogger } from '@zk0/logger';
import { openBlobStore } from '@zk0/storage';
import { createTransportServer } from '@zk0/transport';
import { Federation } from './federation/federation.ts';
import { Journal } from './federation/journal.ts';

/** What a server is started with. */
export interface ServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Journal, blobs and scratch files: what a restart goes on with. */
  readonly stateDirectory: string;
  readonly openRun: (runId: string) => { readonly directory: string; readonly log: RootLogger };
  readonly cacheDirectory: string;
  readonly device: string;
  /** Element type of matrix products, or `auto`. */
  readonly precision?: string;
  readonly threads?: number;
  readonly token?: string;
  readonly allowInsecure?: boolean;
  readonly log: Logger;
}

/** A server that listens and drives runs. */
export interface RunningServer {
  readonly url: string;
  readonly federation: Federation;
  /** Resolves when the server has stopped; rejects when driving runs failed in a way that no run can explain. */
  readonly done: Promise<void>;
  /** Stops listening, leaves an unfinished run in the journal, and releases everything. */
  close(): Promise<void>;
}

/**
 * Starts a server.
 *
 * @throws Zk0Error when the directory cannot be written or the port is taken.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { stateDirectory, log } = options;
  makeWritable(stateDirectory);
  const journal = new Journal(join(stateDirectory, 'journal.sqlite'));
  const blobs = await openBlobStore(join(stateDirectory, 'blobs'));
  const federation = new Federation({ ...options, journal, blobs, scratchDirectory: join(stateDirectory, 'scratch') });
  const stop = new AbortController();
  try {
    const transport = await createTransportServer({
      host: options.host,
      port: options.port,
      blobs,
      handler: federation,
      log,
      ...(options.token === undefined ? {} : { token: options.token }),
      ...(options.allowInsecure === undefined ? {} : { allowInsecure: options.allowInsecure }),
    });
    log.info(`listening on ${transport.url}`);
    const done = federation.run(stop.signal);
    done.catch((error: unknown) => {
      log.error(`the server cannot go on: ${errorMessage(error)}`, { error });
    });
    return {
      url: transport.url,
      federation,
      done,
      close: async () => {
        stop.abort();
        federation.close();
        await done.catch(() => undefined);
        await transport.close();
        journal.close();
      },
    };
  } catch (error) {
    federation.close();
    journal.close();
    throw error;
  }
}

/** Makes a directory, and finds out now rather than after the first round whether it can be written. */
export function makeWritable(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
  } catch (error) {
    throw new Zk0Error('OUTPUT_UNWRITABLE', `cannot write to ${directory}: ${errorMessage(error)}`, {
      cause: error,
      hint: 'Choose another directory with --out.',
    });
  }
}

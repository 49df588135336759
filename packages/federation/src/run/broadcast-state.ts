import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobReference, RunState } from '@zk0/core';
import { writeTensors } from '@zk0/storage';
import type { Strategy } from '@zk0/strategy';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import { OpenBlobs } from './open-blobs.ts';

/**
 * The state that clients of the next round need, as a blob: the strategy's whole state where clients need all of it, and what they
 * need of it where there is more (an optimiser's moments); `null` where there is none.
 */
export async function broadcastState(
  strategy: Strategy,
  state: RunState,
  { blobs, scratchDirectory }: { readonly blobs: EngineBlobs; readonly scratchDirectory: string },
): Promise<BlobReference | null> {
  if (state.strategyState === null || strategy.broadcastState.length === 0) return null;
  const files = new OpenBlobs(blobs);
  try {
    const file = await files.openVerified(state.strategyState);
    const specs = file.specs.filter(({ name }) => strategy.broadcastState.some((prefix) => name.startsWith(`${prefix}/`)));
    if (specs.length === file.specs.length) return state.strategyState;
    await mkdir(scratchDirectory, { recursive: true });
    const path = join(scratchDirectory, `${state.runId}-broadcast`);
    const written = await writeTensors(path, { specs, readBytes: (name, offset, into) => file.readBytes(name, offset, into) }, { durable: false });
    const blob = await blobs.putFile(path, written);
    await rm(path, { force: true });
    return blob;
  } finally {
    await files.close();
  }
}

import { rm } from 'node:fs/promises';
import { encodeSafetensors, MemoryTensorSource, type BlobReference, type PublishedParameters, type RunState } from '@zk0/core';
import { writeTensors } from '@zk0/storage';
import { appliedTo, decodeUpdate, encodeUpdate } from '@zk0/update-codec';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import { OpenBlobs } from './open-blobs.ts';

/** The parameters that clients begin the current round with: the newest ones, or what clients make of an encoded difference to those before. */
export function publishedParameters({ published, parameters }: RunState): BlobReference {
  return published?.parameters ?? parameters!;
}

/** How clients that hold the parameters of the round before come to those of the current one. */
export function publishedStep({ published }: RunState): Pick<PublishedParameters, 'from' | 'encoded'> | null {
  return published === undefined ? null : { from: published.from, encoded: published.encoded };
}

/**
 * Makes what clients of the next round begin with, where the run sends parameters as encoded differences: what was published before, plus
 * the decoded difference to the newest parameters. These stay float32 on the server: what rounding takes away in one round is in the
 * difference of the next, so that nothing is lost for good.
 *
 * @param parameters the newest, in the store.
 * @param path for a file in the making, on the store's file system.
 * @returns `undefined` where clients get the newest parameters themselves.
 */
export async function publish(state: RunState, parameters: BlobReference, { blobs, path }: { readonly blobs: EngineBlobs; readonly path: string }): Promise<PublishedParameters | undefined> {
  const { broadcastEncoding: encoding } = state.config;
  if (encoding === 'float32') return undefined;
  const from = publishedParameters(state);
  const files = new OpenBlobs(blobs);
  try {
    const [base, newest] = [await files.openVerified(from), await files.openFresh(parameters)];
    const shared = { encoding, base, baseHash: from.hash };
    const { tensors, metadata } = await encodeUpdate(newest, shared);
    const encoded = await blobs.put(encodeSafetensors(tensors, metadata));
    if (encoding === 'delta') return { parameters, encoded, from };
    const written = await writeTensors(path, appliedTo(base, decodeUpdate(new MemoryTensorSource(tensors), metadata, shared)), { durable: false });
    const published = await blobs.putFile(path, written);
    await rm(path, { force: true });
    return { parameters: published, encoded, from };
  } finally {
    await files.close();
  }
}

import { encodeParameters, encodeSafetensors, MemoryTensorSource, type BlobReference, type FitResult, type Parameters, type Task } from '@zk0/core';
import type { BlobStore } from '@zk0/storage';
import { encodeUpdate } from '@zk0/update-codec';
import type { FederationLog } from '../log.ts';
import type { FitTask } from '../run/instructions.ts';
import { megabytes } from './megabytes.ts';
import type { ResidualStore } from './residual-store.ts';

/** What putting an update into this client's store needs of it. */
export interface PutUpdateOptions {
  readonly blobs: BlobStore;
  readonly residuals: ResidualStore;
  readonly log: FederationLog;
}

/**
 * Puts a round's update into this client's store, in the encoding that the task asks for, and keeps what rounding left over.
 *
 * @param global the parameters that the round began with.
 * @throws UpdateCodecError when the update cannot be encoded: a value is not finite.
 */
export async function putUpdate({ runId, parameters }: Task, { fit, update }: FitTask, global: Parameters, result: FitResult, options: PutUpdateOptions): Promise<BlobReference> {
  const { blobs, residuals, log } = options;
  const { round } = fit;
  if (update === undefined) {
    await residuals.clear();
    return blobs.put(encodeParameters(result.factors ?? result.parameters));
  }
  const { encoding, last } = update;
  const base = MemoryTensorSource.fromParameters(global);
  const position = { runId, round, last };
  const { residual, lost } = await residuals.open(position, base.specs);
  if (lost !== undefined) log.warn(`what was left over of this client's updates is lost (${lost}): it begins with zero`, { round });
  try {
    const trained = MemoryTensorSource.fromParameters(result.parameters);
    const encoded = await encodeUpdate(trained, { encoding, base, baseHash: parameters.hash, residual });
    const blob = await blobs.put(encodeSafetensors(encoded.tensors, encoded.metadata));
    if (encoded.residual !== null) await residuals.save(position, blob.hash, encoded.residual);
    log.info(`the update has ${megabytes(blob.byteLength)} instead of ${megabytes(parameters.byteLength)} (${encoding})`, { round });
    return blob;
  } finally {
    await residual?.close();
  }
}

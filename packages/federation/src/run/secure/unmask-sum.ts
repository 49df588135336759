import { byteLength, type RunState, type TensorSource, type TensorSpec } from '@zk0/core';
import { meanInto, recoverMasks, SecureAggregationError, totalWeight } from '@zk0/secure-aggregation';
import { createSafetensors, type SafetensorsWriter } from '@zk0/storage';
import { assignmentSchema } from '../instructions.ts';
import { MASKED } from './masked-file.ts';
import { sumRecord, unmaskAnswers } from './record.ts';

/** Values that are added at a time. */
const PIECE = 1 << 18;

/**
 * Adds the masked updates of the newest round, takes the masks off, and writes the mean change of each parameter, float32. In memory are a
 * few pieces, however many updates there are.
 *
 * @param updates as they came.
 * @param parameters specs of what was trained, in the order of names.
 * @param path where the file is written; whole or not at all.
 * @throws SecureAggregationError when too few answered, or what they gave does not fit: the round does not count.
 */
export async function unmaskSum(
  state: RunState,
  updates: readonly TensorSource[],
  parameters: readonly TensorSpec[],
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const round = state.rounds.at(-1)!;
  const masks = recoverMasks(sumRecord(state), unmaskAnswers(round.secure!));
  const { masking } = assignmentSchema.parse([...round.participants.values()][0]!.instructions);
  if (masking === undefined) throw new SecureAggregationError('SECURE_REQUEST_REFUSED', `round ${round.round} was planned without masks`);
  const clients = updates.length;
  const writer = await createSafetensors(path, parameters);
  try {
    const [sums, addend, means] = [new Int32Array(PIECE), new Int32Array(PIECE), new Float32Array(PIECE)];
    const out = new Outlet(writer);
    const count = 1 + parameters.reduce((sum, spec) => sum + byteLength(spec) / Float32Array.BYTES_PER_ELEMENT, 0);
    let total = 0;
    for (let start = 0; start < count; start += PIECE) {
      signal.throwIfAborted();
      const size = Math.min(PIECE, count - start);
      const [sum, part] = [sums.subarray(0, size), addend.subarray(0, size)];
      sum.fill(0);
      for (const update of updates) {
        await update.readBytes(MASKED, 4 * start, new Uint8Array(part.buffer, 0, part.byteLength));
        for (let index = 0; index < size; index++) sum[index] = (sum[index]! + part[index]!) | 0;
      }
      masks.apply(sum);
      if (start === 0) total = totalWeight(sum[0]!, clients, masking);
      const values = sum.subarray(start === 0 ? 1 : 0);
      const mean = means.subarray(0, values.length);
      meanInto(mean, values, total, clients, masking);
      await out.write(mean);
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Writes consecutive values into the tensors of a file, one after the other. */
class Outlet {
  readonly #writer: SafetensorsWriter;
  #tensor = 0;
  #offset = 0;

  constructor(writer: SafetensorsWriter) {
    this.#writer = writer;
  }

  async write(values: Float32Array): Promise<void> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let done = 0; done < bytes.length; ) {
      const spec = this.#writer.specs[this.#tensor]!;
      const size = Math.min(bytes.length - done, byteLength(spec) - this.#offset);
      await this.#writer.writeBytes(spec.name, this.#offset, bytes.subarray(done, done + size));
      done += size;
      this.#offset += size;
      if (this.#offset < byteLength(spec)) continue;
      this.#tensor++;
      this.#offset = 0;
    }
  }
}

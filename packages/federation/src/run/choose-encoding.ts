import type { BlobReference, Metrics, UpdateEncoding, UpdateEncodingChoice } from '@zk0/core';
import { bytesPerValue, type PackedEncoding } from '@zk0/update-codec';

/** What `auto` chooses from: the most precise first. Float32 takes no residual along; `ternary` takes the bytes of `compressed`, less exactly. */
const CANDIDATES = ['bfloat16', 'int8', 'int4', 'compressed'] as const satisfies readonly PackedEncoding[];
/** Until something has been measured. */
const FIRST: PackedEncoding = 'int8';
/** The longest that sending may take, as a share of the training before it. */
const UPLOAD_SHARE = 0.25;

/**
 * How a client is to send its update. `auto` takes the most precise encoding that the client's connection carries within a quarter of the
 * time it trains, by what its last update that counted took; it depends on nothing but the ledger.
 *
 * @param parameters the run's, float32.
 * @param last metrics of the client's last update that counted; `null`: none yet.
 */
export function chooseEncoding(choice: UpdateEncodingChoice, parameters: BlobReference, last: Metrics | null): UpdateEncoding {
  if (choice !== 'auto') return choice;
  const { bytes_up: sent = 0, upload_s: seconds = 0, duration_s: training = 0 } = last ?? {};
  if (!(sent > 0 && seconds > 0 && training > 0)) return FIRST;
  const budget = (UPLOAD_SHARE * training * sent) / seconds;
  const values = parameters.byteLength / Float32Array.BYTES_PER_ELEMENT;
  return CANDIDATES.find((encoding) => values * bytesPerValue(encoding) <= budget) ?? CANDIDATES.at(-1)!;
}

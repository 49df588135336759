import { loraOf, type BlobReference, type RunState, type TensorSource } from '@zk0/core';
import { FactoredUpdate, UpdateRejectedError, type ClientUpdate } from '@zk0/strategy';
import { decodeUpdate, encodingOf, UpdateCodecError } from '@zk0/update-codec';

/** Tensors as they came, with what their file says of them. */
export interface SentTensors extends TensorSource {
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * An update as strategies read it: the weights, or the change of them. Encoded ones are decoded piece by piece as they are read.
 *
 * @param parameters names the parameters that the round began with; `global` are they.
 * @throws UpdateRejectedError when the update is not in the form that the run asks for.
 */
export function updateTensors(
  { config }: Pick<RunState, 'config'>,
  clientId: string,
  sent: SentTensors,
  { parameters, global }: { readonly parameters: BlobReference; readonly global: TensorSource },
): Pick<ClientUpdate, 'tensors' | 'kind'> {
  const { updateEncoding: encoding } = config;
  if (encoding !== 'float32') {
    return rejecting(clientId, () => decodeUpdate(sent, sent.metadata, { encoding, base: global, baseHash: parameters.hash }));
  }
  const claimed = encodingOf(sent.metadata);
  if (claimed !== 'float32') throw wrongEncoding(clientId, `it is in the encoding ${JSON.stringify(claimed.slice(0, 40))}, and float32 was agreed on`);
  const lora = loraOf(config);
  return lora === undefined ? { tensors: sent } : { tensors: new FactoredUpdate(clientId, sent, global.specs, lora), kind: 'delta' };
}

/** What is thrown for an encoded update that cannot be read: the client's fault, of which it is told. Other errors stay as they are. */
export function rejectionOf(clientId: string, error: unknown): unknown {
  if (!(error instanceof UpdateCodecError)) return error;
  const options = { cause: error, ...(error.hint !== undefined && { hint: error.hint }), ...(error.tensor !== undefined && { tensor: error.tensor }) };
  if (error.code === 'ENCODING_MISMATCH') return wrongEncoding(clientId, error.problem, options);
  return new UpdateRejectedError('UPDATE_UNREADABLE', clientId, error.problem, options);
}

function rejecting<T>(clientId: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw rejectionOf(clientId, error);
  }
}

function wrongEncoding(clientId: string, what: string, options: ConstructorParameters<typeof UpdateRejectedError>[3] = {}): UpdateRejectedError {
  return new UpdateRejectedError('UPDATE_WRONG_ENCODING', clientId, what, { hint: 'Run the same zk0 release on both sides.', ...options });
}

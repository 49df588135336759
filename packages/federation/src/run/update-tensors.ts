import { loraOf, type BlobReference, type RunState, type TensorSource } from '@zk0/core';
import { FactoredUpdate, UpdateRejectedError, type ClientUpdate } from '@zk0/strategy';
import { decodeUpdate, encodingOf, UpdateCodecError } from '@zk0/update-codec';
import { askedEncoding } from './instructions.ts';

/** Tensors as they came, with what their file says of them. */
export interface SentTensors extends TensorSource {
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * An update as strategies read it: the weights, or the change of them. Encoded ones are decoded piece by piece as they are read.
 *
 * @param begun the parameters that the clients began the round with, and their name. They are not the newest ones where those went out
 * rounded: the update is then given with them as its base.
 * @throws UpdateRejectedError when the update is not in the form that its task asks for.
 */
export function updateTensors(
  state: Pick<RunState, 'config' | 'parameters' | 'rounds'>,
  clientId: string,
  sent: SentTensors,
  { parameters: begunWith, global: base }: { readonly parameters: BlobReference; readonly global: TensorSource },
): Pick<ClientUpdate, 'tensors' | 'kind' | 'base'> {
  const encoding = askedEncoding(state, clientId);
  const own = state.parameters?.hash === begunWith.hash ? {} : { base };
  if (encoding !== 'float32') {
    const decoded = rejecting(clientId, () => decodeUpdate(sent, sent.metadata, { encoding, base, baseHash: begunWith.hash }));
    return decoded.kind === 'delta' ? decoded : { ...decoded, ...own };
  }
  const claimed = encodingOf(sent.metadata);
  if (claimed !== 'float32') throw wrongEncoding(clientId, `it is in the encoding ${JSON.stringify(claimed.slice(0, 40))}, and float32 was agreed on`);
  const lora = loraOf(state.config);
  return lora === undefined ? { tensors: sent, ...own } : { tensors: new FactoredUpdate(clientId, sent, base.specs, lora), kind: 'delta' };
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

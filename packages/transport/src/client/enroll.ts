import { clientIdSchema } from '@zk0/core';
import { TransportError } from '../errors.ts';
import type { NodeKey } from '../identity/key.ts';
import { decodeEnvelope, encodeMessage, MESSAGE_CONTENT_TYPE, parse } from '../protocol/codec.ts';
import { ENROLL, enrolmentReplySchema, enrolmentSchema, type EnrolmentReply } from '../protocol/enrolment.ts';
import { CLIENT_HEADER, INSTANCE_HEADER, PATHS } from '../protocol/http.ts';
import { requestSigner } from '../signature/sign.ts';
import { Http, type HttpOptions } from './http.ts';

/** Options of {@link enroll}. */
export interface EnrollOptions extends Pick<HttpOptions, 'url' | 'tls' | 'allowInsecure' | 'noProgressMs' | 'proxyEnvironment'> {
  /** As the operator gave it. */
  readonly token: string;
  readonly key: NodeKey;
  readonly clientId: string;
  readonly instance: string;
  /** What the node trains on, for the operator to read; at most 200 characters. */
  readonly dataset: string;
  readonly signal?: AbortSignal;
}

/**
 * Enrols a node with a server: the server learns the public key, and from then on who has the private one is this client. One attempt;
 * a second one with the same key and token gets the same answer.
 *
 * @throws TransportError `TOKEN_REFUSED`, `CLIENT_ID_TAKEN`, `NODE_REVOKED`, `CLOCK_SKEW`, `INSECURE` (the token would travel in the
 * clear), and what a failed connection throws.
 */
export async function enroll(options: EnrollOptions): Promise<EnrolmentReply> {
  const { token, key, dataset, signal } = options;
  const identity = {
    [CLIENT_HEADER]: parse(clientIdSchema, options.clientId, 'client id'),
    [INSTANCE_HEADER]: parse(clientIdSchema, options.instance, 'instance'),
  };
  const body = parse(enrolmentSchema, { token, publicKey: key.publicKey, dataset }, ENROLL);
  const http = new Http({ ...options, token: undefined, headers: identity, sign: requestSigner(key) });
  try {
    const reply = await http.send({
      method: 'POST',
      path: PATHS.enroll,
      headers: { 'content-type': MESSAGE_CONTENT_TYPE },
      body: encodeMessage(ENROLL, body),
      signal,
    });
    const envelope = decodeEnvelope(await reply.bytes());
    if (envelope.type !== ENROLL) throw new TransportError('MESSAGE_INVALID', `the server answered ${ENROLL} with ${envelope.type}`);
    return parse(enrolmentReplySchema, envelope.body, `reply to ${ENROLL}`);
  } finally {
    await http.close();
  }
}

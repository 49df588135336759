import { fingerprintOf } from '@zk0/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TransportError } from '../errors.ts';
import { importPublicKey } from '../identity/key.ts';
import type { NodeRegistry } from '../identity/registry.ts';
import type { TransportLog } from '../log.ts';
import { decodeEnvelope, encodeMessage, MESSAGE_CONTENT_TYPE, parse } from '../protocol/codec.ts';
import { ENROLL, enrolmentSchema, MAX_ENROLMENT_BYTES, type EnrolmentReply } from '../protocol/enrolment.ts';
import { PATHS } from '../protocol/http.ts';
import { checkSignature, readSignature } from '../signature/verify.ts';
import { claimedPrincipal } from './clients.ts';
import { sendError } from './error-reply.ts';
import { readMessage } from './read-body.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { SignedClients } from './signed-clients.ts';

/** What the enrolment route needs of the server. */
export interface EnrolmentRouteOptions {
  readonly registry: NodeRegistry;
  readonly clients: SignedClients;
  readonly refusals: RefusalLog;
  readonly log: TransportLog;
}

/** The route by which nodes that have a token, and no more, become clients. */
export function addEnrolmentRoute(app: FastifyInstance, { registry, clients, refusals, log }: EnrolmentRouteOptions): void {
  app.post(PATHS.enroll, async (request: FastifyRequest, reply: FastifyReply) => {
    try {
      const { clientId } = claimedPrincipal(request.raw);
      const signature = readSignature(request.raw);
      clients.checkTime(signature);
      const { type, body } = decodeEnvelope(await readMessage(request.raw, MAX_ENROLMENT_BYTES));
      if (type !== ENROLL) throw new TransportError('MESSAGE_INVALID', `no message of type ${JSON.stringify(type)} is taken here`);
      const { token, publicKey, dataset } = parse(enrolmentSchema, body, ENROLL);
      const fingerprint = fingerprintOf(publicKey);
      if (signature.keyId !== fingerprint) {
        throw new TransportError('SIGNATURE_INVALID', 'the request is signed with another key than the one that is to be enrolled');
      }
      checkSignature(request.raw, signature, importPublicKey(publicKey));
      const node = await registry.enroll({ token, clientId, publicKey, dataset });
      log.info(`node ${clientId} enrolled`, { fingerprint, dataset: node.dataset, state: node.state, token: node.tokenId });
      const answer: EnrolmentReply = {
        serverId: registry.serverId,
        clientId: node.clientId,
        fingerprint,
        state: node.state === 'pending' ? 'pending' : 'approved',
      };
      return await reply.type(MESSAGE_CONTENT_TYPE).send(Buffer.from(encodeMessage(ENROLL, answer)));
    } catch (error) {
      refusals.note(error, request.raw);
      if (!request.raw.complete) reply.header('connection', 'close');
      return sendError(reply, error, log, 'message');
    }
  });
}

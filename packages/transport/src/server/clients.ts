import type { IncomingMessage } from 'node:http';
import { clientIdSchema, type ClientPrincipal } from '@zk0/core';
import { TransportError } from '../errors.ts';
import { CLIENT_HEADER, INSTANCE_HEADER } from '../protocol/http.ts';

/** Finds out which client a request comes from, by its head alone: the body is not read yet. */
export interface ClientAuthenticator {
  /** @throws TransportError when the request does not prove, or does not say, who sends it. */
  authenticate(request: IncomingMessage): Promise<ClientPrincipal>;
}

/** Takes clients at their word, for trying things out on one machine. */
export const claimedClients: ClientAuthenticator = {
  authenticate: (request) => Promise.resolve().then(() => claimedPrincipal(request)),
};

/**
 * What the request's headers say about its sender.
 *
 * @throws TransportError `UNAUTHORIZED`
 */
export function claimedPrincipal(request: IncomingMessage): ClientPrincipal {
  return { role: 'client', clientId: claimed(request, CLIENT_HEADER), instance: claimed(request, INSTANCE_HEADER) };
}

function claimed(request: IncomingMessage, header: string): string {
  const parsed = clientIdSchema.safeParse(request.headers[header]);
  if (parsed.success) return parsed.data;
  throw new TransportError('UNAUTHORIZED', `the header ${header} does not name the sender`, {
    hint: 'Send 1 to 64 letters, digits, dots, dashes or underscores that start with a letter or digit.',
  });
}

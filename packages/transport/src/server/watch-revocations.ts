import type { FederationService } from '@zk0/core';
import { nodeRevoked } from '../identity/token-rules.ts';
import type { TransportLog } from '../log.ts';
import type { Polls } from './message-routes.ts';
import type { SignedClients } from './signed-clients.ts';

/** Between two looks, in ms. */
const INTERVAL_MS = 1000;
/** Clients that are looked at each time: with more of them, it takes so much longer until a revocation is noticed. */
const MAX_CLIENTS = 200;

/** What watching needs of the server. */
export interface WatchRevocationsOptions {
  readonly clients: SignedClients;
  readonly polls: Polls;
  readonly service: FederationService;
  readonly log: TransportLog;
  /** Aborts when the server closes. */
  readonly closing: AbortSignal;
}

/**
 * Notices nodes that the operator has revoked while they were here, by whichever process: a poll that is held for one ends, and the
 * application hears that the client has left, so that no round gives it work or waits for it. Its next request is refused anyway.
 */
export function watchRevocations({ clients, polls, service, log, closing }: WatchRevocationsOptions): void {
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    try {
      for await (const { client, node } of clients.newlyRevoked(MAX_CLIENTS)) {
        log.warn(`the key of client ${client.clientId} was revoked: it has no part any more`);
        polls.end(client, nodeRevoked(node));
        await service.leave(client);
      }
    } catch (error) {
      log.warn('it could not be looked whether nodes were revoked', { error });
    } finally {
      looking = false;
    }
  };
  const timer = setInterval(() => void look(), INTERVAL_MS);
  timer.unref();
  closing.addEventListener('abort', () => { clearInterval(timer); }, { once: true });
}

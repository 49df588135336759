/**
 * @module
 * The wire: small msgpack messages and content-addressed blobs over HTTP/1.1. Clients only dial out.
 */
export { RemoteError, TransportError, type TransportErrorCode } from './errors.ts';
export type { TransportLog } from './log.ts';
export { MAX_MESSAGE_BYTES, PROTOCOL_VERSION, SUPPORTED_VERSIONS } from './protocol/messages.ts';
export { adminClient, type AdminClient, type AdminClientOptions, type FollowOptions } from './client/admin.ts';
export { connect } from './client/client.ts';
export {
  createTransportServer,
  type ServerTls,
  type TransportLimits,
  type TransportServer,
  type TransportServerOptions,
} from './server/server.ts';
export type {
  ByteCounts,
  ClientTls,
  ConnectionState,
  ConnectOptions,
  RetryOptions,
  TransferOptions,
  TransportClient,
} from './client/types.ts';

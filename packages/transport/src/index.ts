/**
 * @module
 * The wire: small msgpack messages and content-addressed blobs over HTTP/1.1. Clients only dial out.
 */
export { ForeignAnswerError, RemoteError, TransportError, type TransportErrorCode } from './errors.ts';
export { certificateFingerprint, type ProxyEnvironment } from './client/dispatcher.ts';
export type { TransportLog } from './log.ts';
export { isLoopback } from './protocol/http.ts';
export { MAX_MESSAGE_BYTES, PROTOCOL_VERSION, SUPPORTED_VERSIONS } from './protocol/messages.ts';
export { adminClient, type AdminClient, type AdminClientOptions, type FollowOptions, type LogOptions } from './client/admin.ts';
export type { LogRequest, LogSource } from './server/log-route.ts';
export type { Monitoring } from './server/monitor-routes.ts';
export { connect } from './client/client.ts';
export { enroll, type EnrollOptions } from './client/enroll.ts';
export type { EnrolmentReply } from './protocol/enrolment.ts';
export { generateNodeKey, openNodeKey, type NodeKey } from './identity/key.ts';
export { openOperatorToken } from './identity/operator-token.ts';
export {
  DEFAULT_TOKEN_LIFETIME_MS,
  MAX_TOKEN_USES,
  type Enrolment,
  type NodeInfo,
  type NodeRegistry,
  type NodeState,
  type TokenInfo,
  type TokenOptions,
} from './identity/registry.ts';
export { openSharedRegistry, type SharedRegistryOptions } from './identity/shared-registry.ts';
export { openNodeRegistry, type NodeRegistryOptions } from './identity/sqlite-registry.ts';
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
  DownloadOptions,
  RetryOptions,
  TransferOptions,
  TransportClient,
} from './client/types.ts';

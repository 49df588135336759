/**
 * @module
 * The state of a federation on NATS JetStream and S3: ledger, leases, clients, tasks and blobs that several servers share.
 */
export { BackendError, type BackendErrorCode } from './errors.ts';
export { LEDGER_STREAM_VERSION } from './ledger/ledger-stream.ts';
export { parseNatsAddress, type NatsAddress } from './nats/address.ts';
export type { NatsOptions } from './nats/connection.ts';
export { NATS_VARIABLES } from './nats/credentials.ts';
export { openNatsStores, type NatsStores, type NatsStoresOptions } from './stores.ts';

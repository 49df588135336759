/**
 * @module
 * The state of a federation on NATS JetStream and S3: ledger, leases, clients, tasks and blobs that several servers share.
 */
export { BackendError, type BackendErrorCode } from './errors.ts';
export { parseS3Address, type S3Address } from './blobs/s3-address.ts';
export { openS3BlobStore, type S3BlobStore, type S3BlobStoreOptions } from './blobs/s3-blob-store.ts';
export { LEDGER_STREAM_VERSION } from './ledger/ledger-stream.ts';
export { parseNatsAddress, type NatsAddress } from './nats/address.ts';
export type { NatsOptions } from './nats/connection.ts';
export { NATS_VARIABLES } from './nats/credentials.ts';
export { openNatsStores, type NatsStores, type NatsStoresOptions } from './stores.ts';

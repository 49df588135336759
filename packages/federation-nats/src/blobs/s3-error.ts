import { S3ServiceException } from '@aws-sdk/client-s3';
import { CancelledError, errorMessage, Zk0Error } from '@zk0/core';
import { StorageError } from '@zk0/storage';

/** Names of errors that say that there is no room; MinIO's and Ceph's among them. */
const NO_ROOM: ReadonlySet<string> = new Set(['QuotaExceeded', 'XMinioStorageFull', 'StorageFull', 'InsufficientStorage', 'XMinioAdminBucketQuotaExceeded']);
/** Names of errors of the client library that mean that it has no credentials. */
const NO_CREDENTIALS: ReadonlySet<string> = new Set(['CredentialsProviderError', 'TokenProviderError', 'AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'ExpiredToken']);

/** Whether the server has no such object. */
export function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.name === 'NoSuchKey' || error.name === 'NotFound' || (status(error) === 404 && error.name !== 'NoSuchBucket'));
}

/** Whether the server refuses who asks, or there is nobody to ask as. */
export function isRefused(error: unknown): boolean {
  return error instanceof Error && (NO_CREDENTIALS.has(error.name) || status(error) === 401 || status(error) === 403);
}

/**
 * What an error of the S3 client means for the engine. All of it passes: a run waits until the bucket can be used again, also where
 * credentials have expired.
 */
export function s3Error(what: string, error: unknown): Zk0Error {
  if (error instanceof Zk0Error) return error;
  if (error instanceof Error && error.name === 'AbortError') return new CancelledError(what, { cause: error });
  const message = errorMessage(error);
  const name = error instanceof Error ? error.name : 'Error';
  const said = name === 'Error' || message.includes(name) ? message : `${name}: ${message}`;
  if (NO_ROOM.has(name) || status(error) === 507) {
    return new StorageError('STORE_FULL', `${what}: the bucket has no room left (${said})`, { cause: error, hint: 'Raise the quota, or add disk.' });
  }
  if (isRefused(error)) {
    return new StorageError('STORE_UNREACHABLE', `${what}: the S3 server refuses this server (${said})`, {
      cause: error,
      hint: 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), what they may do in the bucket, and the clock of this machine.',
    });
  }
  return new StorageError('STORE_UNREACHABLE', `${what}: the S3 server does not do what it was asked (${said})`, { cause: error, hint: 'Check that it runs, and the network.' });
}

export function status(error: unknown): number | undefined {
  return (error as { readonly $metadata?: { readonly httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode;
}

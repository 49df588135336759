import { readFileSync } from 'node:fs';
import { errorMessage } from '@zk0/core';
import { credsAuthenticator, type NodeConnectionOptions } from '@nats-io/transport-node';
import { BackendError } from '../errors.ts';

/** Environment variables that say who this process is; each names a file or holds a secret, which is never logged. */
export const NATS_VARIABLES = [
  'ZK0_NATS_CREDS',
  'ZK0_NATS_TOKEN',
  'ZK0_NATS_USER',
  'ZK0_NATS_PASSWORD',
  'ZK0_NATS_CA',
  'ZK0_NATS_CERT',
  'ZK0_NATS_KEY',
] as const;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Credentials and certificates from the environment: `ZK0_NATS_CREDS` (a file with a JWT and its key), `ZK0_NATS_TOKEN`, or `ZK0_NATS_USER`
 * with `ZK0_NATS_PASSWORD`; `ZK0_NATS_CA`, `ZK0_NATS_CERT` and `ZK0_NATS_KEY` are files in PEM form.
 *
 * @throws BackendError `BACKEND_REFUSED` for a file that cannot be read, or variables that exclude each other.
 */
export function natsCredentials(environment: Environment, tls: boolean): Partial<NodeConnectionOptions> {
  const value = (name: (typeof NATS_VARIABLES)[number]): string | undefined => (environment[name] === '' ? undefined : environment[name]);
  const [creds, token, user, pass] = [value('ZK0_NATS_CREDS'), value('ZK0_NATS_TOKEN'), value('ZK0_NATS_USER'), value('ZK0_NATS_PASSWORD')];
  if ([creds, token, user].filter((given) => given !== undefined).length > 1) {
    throw new BackendError('BACKEND_REFUSED', 'more than one of ZK0_NATS_CREDS, ZK0_NATS_TOKEN and ZK0_NATS_USER is set', { hint: 'Keep the one that the NATS server knows.' });
  }
  const files = { caFile: value('ZK0_NATS_CA'), certFile: value('ZK0_NATS_CERT'), keyFile: value('ZK0_NATS_KEY') };
  const given = Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined);
  for (const [, path] of given) readable(path);
  return {
    ...(creds !== undefined && { authenticator: credsAuthenticator(readable(creds)) }),
    ...(token !== undefined && { token }),
    ...(user !== undefined && { user, ...(pass !== undefined && { pass }) }),
    ...((tls || given.length > 0) && { tls: Object.fromEntries(given) }),
  };
}

function readable(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new BackendError('BACKEND_REFUSED', `${path}: the file with credentials for NATS cannot be read (${errorMessage(cause)})`, { cause, hint: 'Check the path and the permissions.' });
  }
}

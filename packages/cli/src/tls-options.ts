import { readFileSync } from 'node:fs';
import { errorMessage, InvalidArgumentError } from '@zk0/core/errors';

/** PEM texts, as `@zk0/transport` takes them for a client or an operator's tool. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** A certificate is a few kB; a chain of them with a key stays far below. */
const MAX_PEM_BYTES = 1024 * 1024;

/** As much of a commander command as is needed here. */
interface Optional<T> {
  option(flags: string, description: string): T;
}

/** Adds what every command has that dials a server: whom to trust, who one is, and the leave to go without. */
export function withTlsOptions<T extends Optional<T>>(command: T): T {
  return command
    .option('--tls-ca <file>', 'certificate authority of the server (PEM); the system’s when absent')
    .option('--tls-cert <file>', 'certificate to show to a server that asks for one (PEM)')
    .option('--tls-key <file>', 'its private key (PEM)')
    .option('--insecure', 'allow plain HTTP to another machine: for networks that are trusted themselves');
}

/**
 * Reads the files that `--tls-ca`, `--tls-cert` and `--tls-key` name; `undefined` where none is given.
 *
 * @throws InvalidArgumentError for a file that cannot be read or is no PEM, and for a certificate without its key.
 */
export function readTls(options: Readonly<Record<string, unknown>>): TlsMaterial | undefined {
  const read = (flag: string, value: unknown): string | undefined => (typeof value === 'string' ? readPem(flag, value) : undefined);
  const [ca, cert, key] = [read('--tls-ca', options['tlsCa']), read('--tls-cert', options['tlsCert']), read('--tls-key', options['tlsKey'])];
  if ((cert === undefined) !== (key === undefined)) {
    throw new InvalidArgumentError(`${cert === undefined ? '--tls-key' : '--tls-cert'} is given alone`, { hint: 'A certificate and its key go together.' });
  }
  if (ca === undefined && cert === undefined) return undefined;
  return { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
}

function readPem(flag: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new InvalidArgumentError(`${flag} ${path}: ${errorMessage(cause)}`, { cause, hint: 'Check the path and its permissions.' });
  }
  if (text.length > MAX_PEM_BYTES || !text.includes('-----BEGIN ')) {
    throw new InvalidArgumentError(`${flag} ${path} is no PEM file`, { hint: 'It begins with -----BEGIN CERTIFICATE----- or -----BEGIN PRIVATE KEY-----.' });
  }
  return text;
}

import { BackendError } from '../errors.ts';

/** Where a federation's ledger, leases, clients and tasks are. */
export interface NatsAddress {
  /** `host:port` of each server of the cluster that is named; the others are learned from them. */
  readonly servers: readonly string[];
  /** Whether a connection without TLS is refused. */
  readonly tls: boolean;
  /** Which federation: several may share a NATS server. */
  readonly federation: string;
  /** Copies that new streams have: 1, 3 or 5. */
  readonly replicas: number;
  /** The address without anything that is not for logs. */
  readonly text: string;
}

const ADDRESS = /^(?<scheme>nats|tls):\/\/(?<hosts>[^/?#\s]+)(?:\/(?<federation>[^/?#\s]*))?(?:\?(?<query>[^#\s]*))?$/;
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?<port>\d{1,5}))?$/i;
const FEDERATION = /^[a-z0-9][a-z0-9_-]{0,31}$/;
const DEFAULT_PORT = 4222;
const HINT = 'Write nats://HOST:4222/FEDERATION, with more hosts after commas, and ?replicas=3 for three copies.';

/**
 * Reads `nats://HOST[:PORT][,HOST[:PORT]…][/FEDERATION][?replicas=1|3|5]`; `tls://` in place of `nats://` refuses connections without TLS.
 *
 * @throws BackendError `BACKEND_ADDRESS`; it names the address, unless that holds credentials.
 */
export function parseNatsAddress(text: string): NatsAddress {
  const parts = ADDRESS.exec(text)?.groups;
  if (text.includes('@')) {
    throw new BackendError('BACKEND_ADDRESS', 'the address of the NATS server holds credentials, which other users of this machine can read', {
      hint: 'Take them out, and set ZK0_NATS_CREDS, ZK0_NATS_TOKEN, or ZK0_NATS_USER and ZK0_NATS_PASSWORD.',
    });
  }
  const wrong = (why: string): BackendError => new BackendError('BACKEND_ADDRESS', `${text}: ${why}`, { hint: HINT });
  if (parts === undefined) throw wrong('it is no address of a NATS server');
  const servers = parts['hosts']!.split(',').map((host) => {
    const port = HOST.exec(host)?.groups?.['port'];
    if (!HOST.test(host) || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) throw wrong(`${JSON.stringify(host)} is no host with a port`);
    return port === undefined ? `${host}:${DEFAULT_PORT}` : host;
  });
  const federation = parts['federation'] === undefined || parts['federation'] === '' ? 'zk0' : parts['federation'];
  if (!FEDERATION.test(federation)) throw wrong(`${JSON.stringify(federation)} is no name of a federation (lower-case letters, digits, - and _, at most 32)`);
  const query = new URLSearchParams(parts['query'] ?? '');
  const unknown = [...query.keys()].find((key) => key !== 'replicas');
  if (unknown !== undefined) throw wrong(`${JSON.stringify(unknown)} is no setting`);
  const replicas = query.get('replicas') ?? '1';
  if (!['1', '3', '5'].includes(replicas)) throw wrong('replicas are 1, 3 or 5');
  return { servers, tls: parts['scheme'] === 'tls', federation, replicas: Number(replicas), text };
}

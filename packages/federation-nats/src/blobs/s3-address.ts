import { BackendError } from '../errors.ts';

/** Where a federation's blobs are. */
export interface S3Address {
  readonly bucket: string;
  /** What every key begins with: empty, or with a slash at its end. */
  readonly prefix: string;
  /** A server other than Amazon's. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  /** Whether the bucket is in the path of requests and not in the host name. */
  readonly pathStyle: boolean;
  readonly text: string;
}

const ADDRESS = /^s3:\/\/(?<bucket>[^/?#\s]+)(?:\/(?<prefix>[^?#\s]*))?(?:\?(?<query>[^#\s]*))?$/;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+)*$/;
const REGION = /^[a-z0-9-]{1,40}$/;
const SETTINGS = ['endpoint', 'region', 'path-style'];
const HINT = 'Write s3://BUCKET/PREFIX, for a server other than Amazon’s with ?endpoint=https://HOST:PORT; credentials come from the environment.';

/**
 * Reads `s3://BUCKET[/PREFIX][?endpoint=URL][&region=NAME][&path-style=true|false]`. With an endpoint the bucket stands in the path unless
 * `path-style=false` says otherwise.
 *
 * @throws BackendError `BACKEND_ADDRESS`; it names the address, unless that holds credentials.
 */
export function parseS3Address(text: string): S3Address {
  if (text.includes('@') || /access.?key|secret/i.test(text)) {
    throw new BackendError('BACKEND_ADDRESS', 'the address of the bucket holds credentials, which other users of this machine can read', {
      hint: 'Take them out, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.',
    });
  }
  const wrong = (why: string): BackendError => new BackendError('BACKEND_ADDRESS', `${text}: ${why}`, { hint: HINT });
  const parts = ADDRESS.exec(text)?.groups;
  if (parts === undefined) throw wrong('it is no address of a bucket');
  const bucket = parts['bucket']!;
  if (!BUCKET.test(bucket)) throw wrong(`${JSON.stringify(bucket)} is no name of a bucket`);
  const prefix = (parts['prefix'] ?? '').replace(/\/$/, '');
  if (prefix !== '' && !PREFIX.test(prefix)) throw wrong(`${JSON.stringify(prefix)} is no prefix (letters, digits, _ . - between slashes)`);
  const query = new URLSearchParams(parts['query'] ?? '');
  const unknown = [...query.keys()].find((key) => !SETTINGS.includes(key));
  if (unknown !== undefined) throw wrong(`${JSON.stringify(unknown)} is no setting`);
  const endpoint = query.get('endpoint') ?? undefined;
  if (endpoint !== undefined && !isHttp(endpoint)) throw wrong(`${JSON.stringify(endpoint)} is no http or https address`);
  const region = query.get('region') ?? undefined;
  if (region !== undefined && !REGION.test(region)) throw wrong(`${JSON.stringify(region)} is no region`);
  const pathStyle = query.get('path-style') ?? String(endpoint !== undefined);
  if (pathStyle !== 'true' && pathStyle !== 'false') throw wrong('path-style is true or false');
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/`, endpoint, region, pathStyle: pathStyle === 'true', text };
}

function isHttp(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.search === '';
}

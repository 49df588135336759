import { serializeInnerList, type InnerList } from 'structured-headers';

/** Of a request: what a signature can cover. */
export interface SignableRequest {
  readonly method: string;
  /** Path and query, as they stand in the request line after the server's own address. */
  readonly target: string;
  readonly header: (name: string) => string | undefined;
}

/** What every signature of a request covers, whatever else is in it. */
export const DERIVED_COMPONENTS = ['@method', '@path', '@query'] as const;

/** Headers that a signature covers where a request has them: all that say what the request is about. */
export function isSignedHeader(name: string): boolean {
  return name === 'content-digest' || name === 'range' || name.startsWith('zk0-') || name.startsWith('upload-');
}

/**
 * The text that is signed (RFC 9421, section 2.5): one line for each component, and the signature's parameters.
 *
 * @returns `null` when the request lacks a component, or one is of a kind that is not signed here: with parameters, or derived in
 * another way than here.
 */
export function signatureBase(request: SignableRequest, input: InnerList): string | null {
  const lines: string[] = [];
  const seen = new Set<string>();
  for (const [name, parameters] of input[0]) {
    if (typeof name !== 'string' || parameters.size > 0 || seen.has(name)) return null;
    seen.add(name);
    const value = componentValue(request, name);
    if (value === undefined) return null;
    lines.push(`"${name}": ${value}`);
  }
  lines.push(`"@signature-params": ${serializeInnerList(input)}`);
  return lines.join('\n');
}

function componentValue({ method, target, header }: SignableRequest, name: string): string | undefined {
  const { path, query } = splitTarget(target);
  switch (name) {
    case '@method':
      return method;
    case '@path':
      return path;
    case '@query':
      return query;
    // Not among what clients of this package sign: a proxy may change it.
    case '@authority':
      return header('host')?.toLowerCase();
    default:
      return /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) ? header(name)?.trim() : undefined;
  }
}

/** Path and query of a request's target, which may be a whole address (RFC 9112, section 3.2.2). An absent query is signed as `?`. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const local = target.replace(/^https?:\/\/[^/?]*/i, '');
  const at = local.indexOf('?');
  const path = at < 0 ? local : local.slice(0, at);
  return { path: path === '' ? '/' : path, query: at < 0 ? '?' : local.slice(at) };
}

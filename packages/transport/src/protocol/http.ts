/** Paths and headers, the same on both sides. Uploads follow the IETF draft on resumable uploads in their names. */
export const PATHS = {
  messages: '/messages',
  enroll: '/enroll',
  blob: (hash: string): string => `/blobs/${hash}`,
  upload: (hash: string): string => `/uploads/${hash}`,
  status: '/admin/status',
  runs: '/admin/runs',
  stop: '/admin/stop',
  change: '/admin/change',
  events: '/admin/events',
  logs: '/admin/logs',
} as const;

/** Who sends a request: the client's id, and which installation speaks under it. */
export const CLIENT_HEADER = 'zk0-client';
export const INSTANCE_HEADER = 'zk0-instance';
/** The server that a signed request is for. */
export const SERVER_HEADER = 'zk0-server';

/** Marks every answer of a server with the version that it speaks: one without it comes from somebody else. */
export const PROTOCOL_HEADER = 'zk0-protocol';

export const UPLOAD_LENGTH = 'upload-length';
export const UPLOAD_OFFSET = 'upload-offset';

export const BLOB_CONTENT_TYPE = 'application/octet-stream';

/** The loopback interface: what is sent there never leaves the machine. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}

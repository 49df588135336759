import { gzipSync } from 'node:zlib';
import type { PageFile } from '@zk0/core';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
};
/** Names that carry a hash of what is in them. */
const HASHED = /-[A-Z0-9]{8}\.\w+$/;

/** Files by the path that a browser asks for: the document at `/`, the others below `/page/files/`. */
export function pageFiles(files: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, PageFile> {
  return new Map(
    [...files].map(([name, bytes]): [string, PageFile] => [
      name === 'index.html' ? '/' : `/page/files/${name}`,
      {
        contentType: CONTENT_TYPES[name.replace(/^.*\./, '')] ?? 'application/octet-stream',
        bytes,
        gzip: gzipSync(bytes, { level: 9 }),
        immutable: HASHED.test(name),
      },
    ]),
  );
}

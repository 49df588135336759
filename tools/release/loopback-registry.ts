import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import * as path from 'node:path';
import type { PackageJson } from './manifest.ts';

/** A registry on this machine that serves tarballs of one scope, as npm's would after a release. */
export interface LoopbackRegistry {
  readonly url: string;
  /** Names and files that were asked for, in order. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/**
 * Serves the tarballs in `folder` the way a registry does, so that an install by name can be tried before anything is published:
 * `npm install --@zk0:registry=URL @zk0/server`. Everything outside the scope comes from npm's own registry.
 */
export async function serveTarballs(folder: string): Promise<LoopbackRegistry> {
  const tarballs = new Map<string, { readonly manifest: PackageJson; readonly file: string }>();
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.tgz'))) {
    const file = path.join(folder, name);
    const manifest = JSON.parse(execFileSync('tar', ['-xzOf', file, 'package/package.json'], { encoding: 'utf8' })) as PackageJson;
    tarballs.set(manifest.name, { manifest, file });
  }
  const requests: string[] = [];
  const server: Server = createServer((request, reply) => {
    const wanted = decodeURIComponent(request.url ?? '/').slice(1);
    requests.push(wanted);
    const [name, file] = wanted.split('/-/') as [string, string | undefined];
    const found = tarballs.get(name);
    if (found === undefined) {
      reply.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}');
    } else if (file !== undefined) {
      createReadStream(found.file).pipe(reply);
    } else {
      reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(packument(found.manifest, found.file, url)));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the registry has no port');
  const url = `http://127.0.0.1:${address.port}`;
  return {
    url,
    requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What a registry says about a package with one version. */
function packument(manifest: PackageJson, file: string, url: string): unknown {
  const { name, version } = manifest;
  const integrity = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
  const tarball = `${url}/${name}/-/${path.basename(file)}`;
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist: { tarball, integrity } } } };
}

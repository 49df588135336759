/** What the transport is compared with: node:http alone, one stream each way, SHA-256 at both ends, nothing kept. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const server = createServer((request, reply) => {
  const hash = createHash('sha256');
  if (request.method === 'GET') {
    const file = createReadStream(process.argv[2]!, { highWaterMark: 1 << 18 });
    file.on('data', (chunk) => hash.update(chunk)).on('end', () => hash.digest());
    file.pipe(reply);
    return;
  }
  request.on('data', (chunk: Buffer) => hash.update(chunk)).on('end', () => reply.end(hash.digest('hex')));
});
server.listen(0, '127.0.0.1', () => process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
process.once('disconnect', () => { server.closeAllConnections(); server.close(); });

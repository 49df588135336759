// The health check of the server's image: whether GET /health of the server in this container says that it works. With TLS or without; the
// certificate is that of another name, and nothing but this machine is asked.
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';

const port = Number(process.env.ZK0_PORT ?? 9092);

/** @param {typeof plain} request */
const ask = (request) =>
  new Promise((resolve) => {
    request({ host: '127.0.0.1', port, path: '/health', timeout: 4000, rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    })
      .once('timeout', function () {
        this.destroy();
      })
      .once('error', () => {
        resolve(false);
      })
      .end();
  });

process.exit((await ask(secure)) || (await ask(plain)) ? 0 : 1);

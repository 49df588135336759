/**
 * @module
 * A stand-in for trackers, for tests.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request that a tracker's stand-in has got. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Readonly<Record<string, unknown>>;
}

/** An HTTP server that keeps what it is sent and answers as a test says. */
export interface RecordingServer {
  readonly url: string;
  readonly requests: RecordedRequest[];
  /** What the next requests are answered with; `null` cuts the connection. */
  answer: (request: RecordedRequest) => { readonly status?: number; readonly body?: unknown } | null;
  close(): Promise<void>;
}

/** Starts one on loopback. */
export async function recordingServer(answer: RecordingServer['answer'], port = 0): Promise<RecordingServer> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      const recorded: RecordedRequest = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
      };
      recording.requests.push(recorded);
      const said = recording.answer(recorded);
      if (said === null) request.socket.destroy();
      else response.writeHead(said.status ?? 200, { 'content-type': 'application/json' }).end(JSON.stringify(said.body ?? {}));
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const recording: RecordingServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    answer,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return recording;
}

/** What MLflow answers where nothing goes wrong. */
export function mlflowAnswer({ path }: RecordedRequest): { readonly status?: number; readonly body?: unknown } {
  if (path.startsWith('/api/2.0/mlflow/experiments/get-by-name')) return { status: 404, body: { error_code: 'RESOURCE_DOES_NOT_EXIST' } };
  if (path === '/api/2.0/mlflow/experiments/create') return { body: { experiment_id: '7' } };
  if (path === '/api/2.0/mlflow/runs/search') return { body: {} };
  if (path === '/api/2.0/mlflow/runs/create') return { body: { run: { info: { run_id: 'r1' } } } };
  return { body: {} };
}

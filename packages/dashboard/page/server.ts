/** The server refused, or could not be reached; the message says what and what to do. */
export class ServerError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Asks the page's own server. */
export async function ask(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<Readonly<Record<string, unknown>>> {
  const sent = body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  let reply: Response;
  try {
    reply = await fetch(path, { method, cache: 'no-store', ...sent });
  } catch {
    throw new ServerError(0, 'The server cannot be reached. Try again when the page is connected.');
  }
  const text = await reply.text();
  let value: Readonly<Record<string, unknown>> = {};
  try {
    value = JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    throw new ServerError(reply.status, `Something else than the server answered (status ${reply.status}).`);
  }
  if (reply.ok) return value;
  const { message, hint } = (value['error'] ?? {}) as { readonly message?: string; readonly hint?: string };
  const sentence = message === undefined ? `The server answered with status ${reply.status}` : message.charAt(0).toUpperCase() + message.slice(1);
  throw new ServerError(reply.status, `${sentence}.${hint === undefined ? '' : ` ${hint}`}`);
}

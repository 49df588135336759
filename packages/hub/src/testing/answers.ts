/** An answer before anything goes wrong with it. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

export function json(value: unknown): Answer {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

export function refuse(status: number, code: string): Answer {
  return { ...json({ error: code }), status, headers: { 'x-error-code': code } };
}

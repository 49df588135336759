import { TransportError } from '../errors.ts';

/** One event; the transport's are a few hundred bytes. */
const MAX_EVENT_CHARACTERS = 1 << 20;

/** An event of a stream of Server-Sent Events. */
export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/**
 * Reads Server-Sent Events (HTML standard, section 9.2) from bytes; comments are passed over.
 *
 * @throws TransportError `BODY_TOO_LARGE` for an event without an end.
 */
export async function* readEventStream(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let event = 'message';
  let data: string[] = [];
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { event, data: data.join('\n') };
        event = 'message';
        data = [];
        continue;
      }
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
      if (field === 'event') event = value ?? '';
      else if (field === 'data') data.push(value ?? '');
    }
    if (rest.length + data.reduce((sum, line) => sum + line.length, 0) > MAX_EVENT_CHARACTERS) {
      throw new TransportError('BODY_TOO_LARGE', `an event above ${MAX_EVENT_CHARACTERS} characters`);
    }
  }
}

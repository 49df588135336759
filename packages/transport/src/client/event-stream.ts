import { TransportError } from '../errors.ts';

/** One event; the transport's are a few hundred bytes. */
const MAX_EVENT_CHARACTERS = 1 << 20;

/** An event of a stream of Server-Sent Events. */
export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/**
 * Reads Server-Sent Events (HTML standard, section 9.2) from bytes; comments are skipped.
 *
 * @throws TransportError `BODY_TOO_LARGE` for an event without an end.
 */
export async function* readEventStream(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let event = 'message';
  let data: string[] = [];
  let endedWithReturn = false;
  for await (const chunk of chunks) {
    let text = decoder.decode(chunk, { stream: true });
    if (text === '') continue;
    // CR ends a line by itself; an LF right after it belongs to it, also when it comes with the next chunk.
    if (endedWithReturn && text.startsWith('\n')) text = text.slice(1);
    endedWithReturn = text.endsWith('\r');
    const lines = (rest + text).split(/\r\n?|\n/);
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

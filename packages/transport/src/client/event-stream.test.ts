import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readEventStream, type ServerSentEvent } from './event-stream.ts';

async function read(bytes: Uint8Array, cuts: readonly number[] = []): Promise<ServerSentEvent[]> {
  const edges = [0, ...[...cuts].filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let index = 1; index < edges.length; index++) {
      await Promise.resolve();
      yield bytes.subarray(edges[index - 1], edges[index]);
    }
  }
  const events: ServerSentEvent[] = [];
  for await (const event of readEventStream(chunks())) events.push(event);
  return events;
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('readEventStream', () => {
  it('reads events, several data lines and names; passes over comments and what is unfinished', async () => {
    const text = ': hello\n\ndata: one\n\nevent: error\ndata:two\ndata: three\nid: 7\n\n\ndata: unfinished';
    expect(await read(encode(text))).toEqual([
      { event: 'message', data: 'one' },
      { event: 'error', data: 'two\nthree' },
    ]);
  });

  it('does not care where the bytes are cut, inside a character or a line end', async () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const bytes = encode(['data: ärger 🤖', '', 'event: x', 'data: {"a":1}', '', ''].join(end));
      const whole = await read(bytes);
      expect(whole).toHaveLength(2);
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat({ max: bytes.length }), { maxLength: 6 }), async (cuts) => {
          expect(await read(bytes, cuts)).toEqual(whole);
        }),
      );
    }
  });

  it('refuses an event without an end', async () => {
    const endless = encode('x'.repeat((1 << 20) + 1));
    await expect(read(endless)).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
    const lines = encode('data: x\n'.repeat(1 << 19));
    await expect(read(lines)).resolves.toEqual([]);
    await expect(read(encode(`data: ${'x'.repeat(1000)}\n`.repeat(2000)), [1_500_000])).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
  });
});

import type { IncomingMessage } from 'node:http';
import { Zk0Error } from '@zk0/core';
import { expect, it } from 'vitest';
import { silentLog } from '../log.ts';
import { RefusalLog } from './refusal-log.ts';

it('writes a line at once, then at most one in ten seconds that says how many there were', () => {
  const lines: unknown[] = [];
  let now = 5;
  const log = new RefusalLog({ ...silentLog, warn: (text, fields) => lines.push([text, fields]) }, () => now);
  const request = { headers: { 'zk0-client': 'kitchen' }, socket: { remoteAddress: '192.0.2.1' } } as unknown as IncomingMessage;
  for (; now < 25_000; now += 100) log.note(new Zk0Error('UNAUTHORIZED', 'no token'), request);
  const fields = { code: 'UNAUTHORIZED', from: '192.0.2.1', client: 'kitchen' };
  expect(lines).toEqual([
    ['refused: no token', fields],
    ['refused: no token', { ...fields, refusedSinceLastLine: 99 }],
    ['refused: no token', { ...fields, refusedSinceLastLine: 99 }],
  ]);
});

it('leaves alone what is no refusal', () => {
  const log = new RefusalLog({ ...silentLog, warn: () => { throw new Error('written'); } });
  expect(() => { log.note(new TypeError('a defect'), { headers: {} } as unknown as IncomingMessage); }).not.toThrow();
});

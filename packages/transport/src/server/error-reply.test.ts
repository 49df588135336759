import { StorageError } from '@zk0/storage';
import { expect, it } from 'vitest';
import type { TransportLog } from '../log.ts';
import { describeError } from './error-reply.ts';

it('a full disk of the server is said to clients without its paths, and to the log once', () => {
  const lines: string[] = [];
  const take = (message: string): void => void lines.push(message);
  const log: TransportLog = { debug: take, info: take, warn: take, error: take };
  const full = new StorageError('DISK_FULL', '/srv/zk0/uploads/x.part: no space left to write', { hint: 'Make room.' });
  for (let client = 0; client < 3; client++) {
    expect(describeError(full, log)).toEqual({ status: 507, body: { code: 'DISK_FULL', message: 'the disk of the server is full' } });
  }
  expect(lines).toEqual(['/srv/zk0/uploads/x.part: no space left to write. Make room.']);
  describeError(new StorageError('DISK_FAULT', '/srv/zk0: input/output error'), log);
  expect(lines).toHaveLength(2);
});

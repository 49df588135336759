import { reportMessageSchema, type ReportMessage } from '@zk0/core';
import { Reporter } from '@zk0/federation';
import { createLogger } from '@zk0/logger';
import { describe, expect, it } from 'vitest';
import { describeMessages } from './describe-messages.ts';
import { resourcesOf } from './resources.ts';
import { parseSendLog, sendLog } from './send-log.ts';

describe('--send-log', () => {
  it('hands on lines from its level up, with their round, without fields, secrets and folders', async () => {
    const got: ReportMessage[] = [];
    const reporter = new Reporter({ connection: { report: (message) => Promise.resolve(void got.push(reportMessageSchema.parse(message))) } });
    const log = createLogger({ process: 'client_a', level: 'debug', secrets: ['correct horse'] });
    const end = sendLog(log, 'warn', reporter);
    reporter.start();
    log.debug('a detail');
    log.info('round trained: loss 0.4', { round: 3 });
    log.warn('frame 7 of /home/anna/private/cube is skipped: correct horse', { round: 3, path: '/home/anna' });
    log.error('round failed', { round: 'x', error: new Error('/home/anna') });
    end();
    log.error('after the end');
    await reporter.close();
    expect(got.flatMap(({ lines = [] }) => lines.map(({ level, message, round }) => [level, message, round]))).toEqual([
      ['warn', 'frame 7 of …/cube is skipped: [redacted]', 3],
      ['error', 'round failed', undefined],
    ]);
  });

  it('is off unless asked for, knows its levels, and is refused where nothing may be said of the recordings', () => {
    expect(parseSendLog('off', true)).toBe('off');
    expect(parseSendLog('info', false)).toBe('info');
    expect(() => parseSendLog('debug', false)).toThrow('--send-log debug is not known');
    expect(() => parseSendLog('error', true)).toThrow('cannot be used with --private');
  });

  it('is part of what --dry-run lists', () => {
    const join = { name: 'a', agent: 'zk0-client', profile: {} };
    expect(describeMessages(join, false, undefined, 'off')).toMatch(/how much memory the client uses[\s\S]*No line of its log/);
    expect(describeMessages(join, false, undefined, 'warn')).toContain('Lines of its log, from level warn on');
    expect(describeMessages(join, true, undefined, 'off')).not.toContain('memory');
    expect(describeMessages(join, true, { clippingNorm: 1, noiseMultiplier: 2 }, 'off')).not.toContain('memory');
  });
});

describe('the memory that a client tells', () => {
  const gpu = { name: 'NVIDIA H200', memoryBytes: 1000, freeBytes: 400 };

  it('is that of its process, and of the graphics processor where one trains', async () => {
    const own = await resourcesOf(() => 'cpu', () => Promise.reject(new Error('nobody asks the driver')))();
    expect(own.memoryBytes).toBeGreaterThan(10e6);
    expect(own.totalMemoryBytes).toBeGreaterThan(own.memoryBytes);
    expect(own).not.toHaveProperty('gpu');
    const trains: { on?: string } = {};
    const later = resourcesOf(() => trains.on, () => Promise.resolve([{ name: 'Intel 0x46a6' }, gpu]));
    expect(await later()).not.toHaveProperty('gpu');
    trains.on = 'cuda';
    expect((await later()).gpu).toEqual({ name: 'NVIDIA H200', memoryBytes: 600, totalMemoryBytes: 1000 });
    expect(await resourcesOf(() => 'cuda', () => Promise.resolve([]))()).not.toHaveProperty('gpu');
  });
});

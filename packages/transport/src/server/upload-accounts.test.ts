import { describe, expect, it } from 'vitest';
import { UploadAccounts, type UploadLimits } from './upload-accounts.ts';

const LIMITS: UploadLimits = { maxUploads: 5, maxClientUploads: 2, maxClientAnnouncements: 3, maxClientBytes: 1000 };
const blob = (name: number, byteLength = 10): { hash: string; byteLength: number } => ({ hash: String(name).padStart(64, '0'), byteLength });
const busy = expect.objectContaining({ code: 'BUSY' }) as Error;

describe('announcements', () => {
  it('are bounded in number for each client, and free again when they are finished', () => {
    const accounts = new UploadAccounts(LIMITS);
    for (const name of [1, 2, 3, 3, 2, 1]) accounts.announce('a', blob(name));
    expect(() => { accounts.announce('a', blob(4)); }).toThrow(busy);
    accounts.announce('b', blob(4));
    accounts.settle('a', blob(2));
    accounts.announce('a', blob(4));
    expect(() => { accounts.announce('a', blob(2)); }).toThrow(busy);
  });

  it('are bounded in bytes for each client', () => {
    const accounts = new UploadAccounts(LIMITS);
    accounts.announce('a', blob(1, 600));
    accounts.announce('a', blob(1, 600));
    expect(() => { accounts.announce('a', blob(2, 401)); }).toThrow(busy);
    accounts.announce('a', blob(2, 400));
    accounts.announce('b', blob(2, 1000));
    expect(() => { accounts.announce('c', blob(2, 1001)); }).toThrow(busy);
  });

  it('are forgotten when nobody continues them, but not while their client sends', () => {
    let now = 0;
    const accounts = new UploadAccounts(LIMITS, () => now);
    for (const name of [1, 2, 3]) accounts.announce('a', blob(name));
    for (const name of [1, 2, 3]) accounts.announce('b', blob(name));
    accounts.receive('b');
    now = 500_000;
    accounts.announce('a', blob(1));
    now = 700_000;
    accounts.announce('a', blob(4));
    accounts.announce('a', blob(5));
    expect(() => { accounts.announce('a', blob(6)); }).toThrow(busy);
    expect(() => { accounts.announce('b', blob(4)); }).toThrow(busy);
  });
});

describe('bodies', () => {
  it('are bounded for each client and for all, and counted down', () => {
    const accounts = new UploadAccounts(LIMITS);
    const first = accounts.receive('a');
    accounts.receive('a');
    expect(() => accounts.receive('a')).toThrow(busy);
    first();
    accounts.receive('a');
    accounts.receive('b');
    accounts.receive('b');
    const last = accounts.receive('c');
    expect(() => accounts.receive('d')).toThrow(busy);
    last();
    accounts.receive('d');
  });

  it('and announcements leave nothing behind', () => {
    const accounts = new UploadAccounts(LIMITS);
    accounts.announce('a', blob(1));
    const end = accounts.receive('a');
    accounts.receive('a')();
    accounts.settle('a', blob(1));
    expect(accounts.clients).toBe(1);
    end();
    expect(accounts.clients).toBe(0);
    expect(() => { accounts.announce('x', blob(1, 5000)); }).toThrow(busy);
    expect(accounts.clients).toBe(0);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readTls } from './tls-options.ts';

const directory = mkdtempSync(join(tmpdir(), 'zk0-tls-'));
afterAll(() => {
  rmSync(directory, { recursive: true });
});
const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};

it('reads the files that are named, and says which one cannot be used', () => {
  const cert = file('cert.pem', '-----BEGIN CERTIFICATE-----\n');
  const key = file('key.pem', '-----BEGIN PRIVATE KEY-----\n');
  expect(readTls({})).toBeUndefined();
  expect(readTls({ tlsCa: cert })).toEqual({ ca: '-----BEGIN CERTIFICATE-----\n' });
  expect(readTls({ tlsCert: cert, tlsKey: key })).toEqual({ cert: '-----BEGIN CERTIFICATE-----\n', key: '-----BEGIN PRIVATE KEY-----\n' });
  expect(() => readTls({ tlsCert: cert })).toThrow('--tls-cert is given alone');
  expect(() => readTls({ tlsKey: key })).toThrow('--tls-key is given alone');
  expect(() => readTls({ tlsCa: join(directory, 'none') })).toThrow(/--tls-ca .*none/);
  expect(() => readTls({ tlsCa: file('text', 'hello') })).toThrow('is no PEM file');
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openHub, type Hub, type HubOptions } from '../src/index.ts';
import { startTestHub, type TestHub } from '../src/testing.ts';

/** An empty folder that is gone after the test. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'zk0-hub-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** A test hub that is closed after the test. */
export async function testHub(options?: Parameters<typeof startTestHub>[0]): Promise<TestHub> {
  const server = await startTestHub(options);
  onTestFinished(() => server.close());
  return server;
}

/** A client of a test hub, with an environment of its own and no patience. */
export async function client(server: TestHub, cacheDirectory: string, options: HubOptions = {}): Promise<Hub> {
  const hub = await openHub({
    endpoint: server.endpoint,
    cacheDirectory,
    retryInitialMs: 1,
    environment: { HF_HOME: join(cacheDirectory, 'home') },
    ...options,
  });
  onTestFinished(() => hub.close());
  return hub;
}

/** Bytes that repeat from run to run and do not compress. */
export function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

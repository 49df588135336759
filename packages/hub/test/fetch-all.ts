import { openHub } from '../src/index.ts';

// Started by processes.test.ts: fetches all of owner/name into the cache that the environment names.
const hub = await openHub({ retryInitialMs: 1 });
const snapshot = await hub.snapshot({ type: 'model', name: 'owner/name' });
await snapshot.fetchFolder('', () => true, { onProgress: ({ bytes }) => process.stdout.write(`${bytes}\n`) });
await hub.close();

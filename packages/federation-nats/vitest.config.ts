import { defineConfig } from 'vitest/config';
import { shared } from '../../vitest.shared.ts';

// Without `module`, which bundlers follow: what the S3 client has there, Node cannot load.
const resolve = { conditions: shared.resolve.conditions.filter((condition) => condition !== 'module') };

export default defineConfig({ ...shared, root: import.meta.dirname, resolve, ssr: { resolve }, test: { ...shared.test, name: 'federation-nats' } });

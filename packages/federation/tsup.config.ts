import { defineConfig } from 'tsup';
import { declarations, shared } from '../../tsup.shared.ts';

export default defineConfig({ ...shared, entry: ['src/index.ts', 'src/testing.ts'], dts: declarations(['index', 'testing']) });

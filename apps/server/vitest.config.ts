import { defineConfig, mergeConfig } from 'vitest/config';
import { needsBuild, shared } from '../../vitest.shared.ts';

export default mergeConfig(shared, defineConfig({ root: import.meta.dirname, test: { name: 'apps-server', ...needsBuild } }));

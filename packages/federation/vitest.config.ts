import { defineConfig, mergeConfig } from 'vitest/config';
import { shared } from '../../vitest.shared.ts';

// Its files wait for clocks and disks: two at once end sooner, also on two cores.
export default mergeConfig(shared, defineConfig({ root: import.meta.dirname, test: { name: 'federation', maxWorkers: 2, isolate: false } }));

import { defineConfig } from 'tsup';
import { declarations, shared } from '../../tsup.shared.ts';

export default defineConfig({ ...shared, entry: { index: 'src/index.ts', presets: 'src/preset/index.ts' }, dts: declarations({ index: 'index', presets: 'preset/index' }) });

import { defineConfig } from 'tsup';
import { declarations, shared } from '../../tsup.shared.ts';

// What starts a program also by itself: a `--help` needs no schemas.
export default defineConfig({ ...shared, entry: ['src/index.ts', 'src/program.ts'], dts: declarations(['index', 'program']) });

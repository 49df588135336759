import { defineConfig } from 'tsup';
import { declarations, shared } from '../../tsup.shared.ts';
import { writePage } from './src/bundle/write-page.ts';

export default defineConfig({
  ...shared,
  entry: { index: 'src/index.ts', 'page-files': 'src/bundle/built.ts' },
  dts: declarations({ index: 'index', 'page-files': 'bundle/built' }),
  // Resolved when the package runs: the built files here, the sources of the page in this repository.
  external: ['#page-files'],
  onSuccess: () => writePage('page', 'dist/page'),
});

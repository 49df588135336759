import { defineConfig } from 'tsup';
import { shared } from '../../tsup.shared.ts';

export default defineConfig({
  ...shared,
  // The threads are files of their own, beside the library that starts them.
  entry: {
    index: 'src/index.ts',
    'decode-worker': 'src/video/decode-worker.ts',
    'table-worker': 'src/format/table-worker.ts',
  },
  // An optional dependency, which may be absent.
  external: [/^node-av/],
});

import { defineConfig } from 'tsup';
import { shared } from '../../tsup.shared.ts';

export default defineConfig({
  ...shared,
  // The decoding thread is a file of its own, beside the library that starts it.
  entry: { index: 'src/index.ts', 'decode-worker': 'src/video/decode-worker.ts' },
  dts: { entry: { index: 'src/index.ts' } },
  // An optional dependency, which may be absent.
  external: [/^node-av/],
});

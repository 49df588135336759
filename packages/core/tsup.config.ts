import { defineConfig } from 'tsup';
import { declarations, shared } from '../../tsup.shared.ts';

export default defineConfig({
  ...shared,
  // The errors and the types of tensors also by themselves: threads that need no schemas start in half the time.
  entry: { index: 'src/index.ts', errors: 'src/errors.ts', tensors: 'src/tensors/index.ts' },
  dts: declarations({ index: 'index', errors: 'errors', tensors: 'tensors/index' }),
});

import { defineConfig } from 'tsup';
import { shared } from '../../tsup.shared.ts';

export default defineConfig({
  ...shared,
  // The errors and the types of tensors also by themselves: threads that need no schemas start in half the time.
  entry: { index: 'src/index.ts', errors: 'src/errors.ts', tensors: 'src/tensors/index.ts' },
});

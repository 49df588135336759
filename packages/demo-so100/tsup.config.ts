import { defineConfig } from 'tsup';
import { shared } from '../../tsup.shared.ts';

export default defineConfig({
  ...shared,
  // An optional dependency, which may be absent.
  external: [/^@mujoco/],
});

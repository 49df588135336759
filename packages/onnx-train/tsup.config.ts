import { defineConfig } from 'tsup';
import { shared } from '../../tsup.shared.ts';

export default defineConfig({
  ...shared,
  // Threads and the trial of a device are started from files of their own, beside the entry.
  entry: {
    index: 'src/index.ts',
    'session-worker': 'src/session/session-worker.ts',
    'device-probe': 'src/session/device-probe.ts',
    'optimizer-worker': 'src/optim/optimizer-worker.ts',
  },
});

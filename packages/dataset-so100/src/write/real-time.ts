import { spawnSync } from 'node:child_process';

/**
 * Makes this process's threads ordinary ones again. Where it runs as root, SVT-AV1 gives its threads, and for good the one that opens
 * it, real-time priority: with a core or two nothing else has its turn then, this process's own worker threads included.
 */
export function leaveRealTime(): void {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return;
  // Node cannot do it. The command is part of util-linux; where it is missing, the priority stays.
  spawnSync('chrt', ['--all-tasks', '--other', '--pid', '0', String(process.pid)], { stdio: 'ignore' });
}

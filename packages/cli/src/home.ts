import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where zk0 keeps what outlives a run on this machine: `ZK0_HOME`, else `~/.cache/zk0`. */
export function zk0Home(): string {
  return process.env['ZK0_HOME'] ?? join(homedir(), '.cache', 'zk0');
}

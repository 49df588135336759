import { checkpointCommand } from '@zk0/cli';
import { convertCheckpoint, convertToAdapter } from '@zk0/policy-smolvla';
import type { Command } from 'commander';
import type { Run } from './run-action.ts';

export function policyCheckpointCommand(run: Run): Command {
  return checkpointCommand(run, convertCheckpoint, convertToAdapter);
}

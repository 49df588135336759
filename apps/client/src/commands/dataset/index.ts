import { Command } from 'commander';
import '../../demo-datasets.ts';
import type { Run } from '../run-action.ts';
import { convertCommand } from './convert.ts';
import { doctorCommand } from './doctor.ts';
import { dropCommand, mergeCommand, relabelCommand, splitCommand } from './edit.ts';
import { inspectCommand } from './inspect.ts';
import { makeCommand } from './make.ts';
import { validateCommand } from './validate.ts';

/** `zk0-client dataset …`: look at recordings, check and repair them, examine how they move, edit and convert them, make demo ones. */
export function datasetCommand(run: Run): Command {
  const command = new Command('dataset').description('Inspect, validate, examine, repair, edit, convert or make LeRobot datasets.');
  const looking = [inspectCommand, validateCommand, doctorCommand];
  const editing = [mergeCommand, splitCommand, relabelCommand, dropCommand, convertCommand];
  for (const make of [...looking, ...editing, makeCommand]) command.addCommand(make(run));
  return command;
}

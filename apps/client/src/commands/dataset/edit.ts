import { resolve } from 'node:path';
import { readRecordingOptions, UsageError, withUnitsOption } from '@zk0/cli';
import {
  dropEpisodes,
  formatEpisodeList,
  mergeDatasets,
  parseEpisodeList,
  relabelDataset,
  splitDataset,
  UNIT_CONVENTIONS,
  type EditOptions,
  type EditResult,
} from '@zk0/dataset-so100';
import { Command } from 'commander';
import { parseScore, relabelRules, splitRule, type RelabelFlags, type SplitFlags } from '../../dataset/edit-arguments.ts';
import { counted, notCopied, pageWidth, paragraph } from '../../dataset/page.ts';
import { collect, type Run } from '../run-action.ts';
import { runWork, type DatasetWork } from './dataset-work.ts';

/** What all edits take. */
interface EditFlags {
  readonly leaveOut?: string;
  readonly wholeVideos?: boolean;
  readonly json?: boolean;
}

/** `zk0-client dataset merge`: several sets behind each other in one. */
export function mergeCommand(run: Run): Command {
  const command = new Command('merge')
    .description('Merge datasets of one robot, with the same joints, units, cameras and frame rate, into a new one; the originals are only read.')
    .argument('<uris...>', 'two datasets or more, then the directory to write, which must not exist')
    .option('--robot-type <name>', 'what the robot is called, where the datasets call it differently');
  withEditFlags(withUnitsOption(command, UNIT_CONVENTIONS)).action((uris: string[], flags: EditFlags & { readonly units?: string; readonly robotType?: string }) => {
    runWork(run, async (work) => {
      const dir = uris.at(-1)!;
      if (uris.length < 3) throw new UsageError('merge takes two datasets or more and a directory', { hint: 'zk0-client dataset merge A B DIR' });
      const { units } = readRecordingOptions({ units: flags.units }, UNIT_CONVENTIONS);
      const result = await mergeDatasets(uris.slice(0, -1), resolve(dir), {
        ...optionsOf('merging', dir, flags, work),
        ...(units === undefined ? {} : { units }),
        ...(flags.robotType === undefined ? {} : { robotType: flags.robotType }),
      });
      print(flags, work, result, [summary(result)]);
      return undefined;
    });
  });
  return command;
}

/** `zk0-client dataset split`: one set in parts. */
export function splitCommand(run: Run): Command {
  const command = new Command('split')
    .description('Split a dataset into parts, each a dataset in a directory of its own; no episode is in two. The original is only read.')
    .argument('<uri>', 'dataset to read')
    .argument('<dir>', 'directory of the parts; must not exist')
    .option('--part <name=what>', 'a part: a share of the episodes (train=0.8) or their numbers (train=0-79); repeatable', collect, [])
    .option('--by-task', 'a part for each task')
    .option('--seed <text>', 'draws the episodes of shares', '0');
  withEditFlags(command).action((uri: string, dir: string, flags: EditFlags & SplitFlags) => {
    runWork(run, async (work) => {
      const result = await splitDataset(uri, resolve(dir), splitRule(flags), optionsOf('splitting', uri, flags, work));
      const parts = Object.values(result.parts).map((part) => `${summary(part)} (episodes ${formatEpisodeList(part.from)})`);
      print(flags, work, result, [...parts, ...(result.unused.length === 0 ? [] : [`In no part: episodes ${formatEpisodeList(result.unused)}`])]);
      return undefined;
    });
  });
  return command;
}

/** `zk0-client dataset relabel`: other texts for tasks. */
export function relabelCommand(run: Run): Command {
  const command = new Command('relabel')
    .description('Write a copy of a dataset in which tasks have other texts; the original is only read.')
    .argument('<uri>', 'dataset to read')
    .argument('<dir>', 'directory to write; must not exist')
    .option('--task <text>', 'task as recorded, which becomes the text of the --to that follows (repeatable)', collect, [])
    .option('--to <text>', 'what the --task before becomes', collect, [])
    .option('--set <episodes=text>', 'task of some episodes, e.g. "0-3,7=Pick up the cube." (repeatable)', collect, []);
  withEditFlags(command).action((uri: string, dir: string, flags: EditFlags & RelabelFlags) => {
    runWork(run, async (work) => {
      const rules = relabelRules(flags);
      const result = await relabelDataset(uri, resolve(dir), rules, optionsOf('relabelling', uri, flags, work));
      print(flags, work, result, [summary(result), ...rules.map(({ to }, i) => `${counted(result.changed[i]!, 'row')}: ${to}`)]);
      return undefined;
    });
  });
  return command;
}

/** `zk0-client dataset drop`: a copy without some episodes. */
export function dropCommand(run: Run): Command {
  const command = new Command('drop')
    .description('Write a copy of a dataset without some of its episodes; the original is only read.')
    .argument('<uri>', 'dataset to read')
    .argument('<dir>', 'directory to write; must not exist')
    .option('--episodes <list>', 'episodes to leave out, e.g. 0-3,7')
    .option('--score-below <score>', 'leave out those that move worse than this score of `dataset doctor`, 0 to 1');
  withEditFlags(command).action((uri: string, dir: string, flags: EditFlags & { readonly episodes?: string; readonly scoreBelow?: string }) => {
    runWork(run, async (work) => {
      const rule = {
        ...(flags.episodes === undefined ? {} : { episodes: parseEpisodeList(flags.episodes) }),
        ...(flags.scoreBelow === undefined ? {} : { scoreBelow: parseScore(flags.scoreBelow) }),
      };
      const result = await dropEpisodes(uri, resolve(dir), rule, optionsOf('copying', uri, flags, work));
      const dropped = result.dropped.map(({ episode, score }) => `Left out: episode ${episode}${score === null ? '' : `, score ${score}`}`);
      print(flags, work, result, [summary(result), ...dropped]);
      return undefined;
    });
  });
  return command;
}

function withEditFlags(command: Command): Command {
  return command
    .option('--leave-out <features>', 'features that the copy may lack, separated by commas, where it has no columns for them')
    .option('--whole-videos', 'copy video files whole, also those that hold episodes which are not copied')
    .option('--json', 'for scripts')
    .option('--verbose', 'error codes and stacks with errors');
}

function optionsOf(label: string, uri: string, { leaveOut, wholeVideos }: EditFlags, { progress, source }: DatasetWork): EditOptions {
  return {
    ...source(uri),
    ...(leaveOut === undefined ? {} : { leaveOut: leaveOut.split(',') }),
    ...(wholeVideos === undefined ? {} : { wholeVideos }),
    onEpisode: ({ episodes: done, total }) => {
      progress.update({ label, done, total });
    },
  };
}

function summary({ path, episodes, frames, tasks }: Omit<EditResult, 'warnings' | 'leftOut'>): string {
  return `${path}: ${counted(episodes, 'episode')}, ${counted(frames, 'frame')}, ${counted(tasks.length, 'task')}`;
}

function print({ json }: EditFlags, { progress }: DatasetWork, result: Pick<EditResult, 'warnings' | 'leftOut'>, lines: readonly string[]): void {
  progress.finish();
  if (json === true) {
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return;
  }
  process.stdout.write(`${[...lines, ...result.warnings, ...notCopied(result.leftOut)].flatMap((line) => paragraph(line, pageWidth(), 0)).join('\n')}\n`);
}

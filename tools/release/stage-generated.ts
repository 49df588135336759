/**
 * `node tools/release/stage-generated.ts FOLDER [PLATFORM …]`: writes the packages that are no projects of this repository below the folder:
 * onnxruntime's libraries for each platform named, else for all, and `zk0`, which installs both programs at once.
 */
import { mkdirSync, rmSync } from 'node:fs';
import * as path from 'node:path';
import { stageBothPrograms } from './both-programs.ts';
import { PLATFORMS, stageRuntime, type Platform } from './native-parts.ts';
import { ROOT } from './stage.ts';

const [folder, ...named] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: node tools/release/stage-generated.ts FOLDER [PLATFORM …]');
const emptied = (name: string): string => {
  const stage = path.resolve(folder, name);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  return stage;
};
for (const platform of named.length > 0 ? named.map(known) : PLATFORMS) {
  console.log(stageRuntime(ROOT, platform, emptied(`onnxruntime-${platform}`)));
}
console.log(stageBothPrograms(ROOT, emptied('zk0')));

function known(name: string): Platform {
  const platform = PLATFORMS.find((one) => one === name);
  if (platform === undefined) throw new Error(`${name} is not a platform of onnxruntime-node; they are ${PLATFORMS.join(', ')}`);
  return platform;
}

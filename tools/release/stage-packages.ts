/**
 * `node tools/release/stage-packages.ts packages/core …`: writes what is published of the packages named, all without names, to
 * `.package` in each. They must be built. `npm pack` and `nx release publish` take the packages from there.
 */
import * as path from 'node:path';
import { publishedProjects, ROOT, stagePackage } from './stage.ts';

const wanted = process.argv.slice(2).map((directory) => path.relative(ROOT, path.resolve(directory)));
for (const directory of wanted.length > 0 ? wanted : publishedProjects()) console.log(path.relative(ROOT, stagePackage(directory)));

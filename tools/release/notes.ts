/** `node tools/release/notes.ts VERSION`: prints what CHANGELOG.md says about a version. */
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { changelogEntry } from './changelog.ts';
import { ROOT } from './stage.ts';

const [version] = process.argv.slice(2);
if (version === undefined) throw new Error('usage: node tools/release/notes.ts VERSION');
console.log(changelogEntry(readFileSync(path.join(ROOT, 'CHANGELOG.md'), 'utf8'), version));

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * What V8 writes for a process: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-ScriptCoverage
 *
 * @typedef {{ readonly startOffset: number, readonly endOffset: number, readonly count: number }} Range
 * @typedef {{ readonly url: string, readonly functions: readonly { readonly ranges: readonly Range[] }[] }} Script
 */

/**
 * A built file: where its lines begin, and which line of which source each came from.
 *
 * @typedef {{ readonly length: number, readonly lines: readonly { readonly at: number, readonly file: string, readonly line: number }[] }} BuiltFile
 */

/**
 * The lines of this repository's sources that processes ran, from the coverage that Node left in `folder` for each of them
 * (`NODE_V8_COVERAGE`). Lines are found through the source maps of the built files.
 *
 * @param {string} folder
 * @param {string} root
 * @returns {Map<string, Set<number>>} by path of the source; lines count from 1
 */
export function linesOfProcesses(folder, root) {
  /** @type {Map<string, Set<number>>} */
  const ran = new Map();
  /** @type {Map<string, BuiltFile | undefined>} */
  const built = new Map();
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (!name.endsWith('.json')) continue;
    /** @type {{ result: readonly Script[] }} */
    const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    for (const script of result) {
      if (!script.url.startsWith('file://')) continue;
      const path = fileURLToPath(script.url);
      if (!built.has(path)) built.set(path, /^(?:packages|apps)[\\/][^\\/]+[\\/]dist[\\/]/.test(relative(root, path)) ? readBuilt(path) : undefined);
      const file = built.get(path);
      if (file === undefined) continue;
      const executed = executedOffsets(script, file.length);
      for (const { at, file: source, line } of file.lines) {
        if (executed[at] !== 1) continue;
        const lines = ran.get(source) ?? new Set();
        ran.set(source, lines.add(line));
      }
    }
  }
  return ran;
}

/**
 * Which characters ran: 1 where the innermost range around it has a count.
 *
 * @param {Script} script
 * @param {number} length
 */
function executedOffsets({ functions }, length) {
  const executed = new Uint8Array(length);
  const ranges = functions.flatMap((one) => one.ranges).sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  // An inner range begins later than, or ends before, the one around it: it overwrites what that one said.
  for (const { startOffset, endOffset, count } of ranges) executed.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return executed;
}

/**
 * @param {string} path
 * @returns {BuiltFile | undefined} undefined without a source map
 */
function readBuilt(path) {
  if (!existsSync(path) || !existsSync(`${path}.map`)) return undefined;
  const map = new SourceMap(JSON.parse(readFileSync(`${path}.map`, 'utf8')));
  const text = readFileSync(path, 'utf8');
  /** @type {{ at: number, file: string, line: number }[]} */
  const lines = [];
  let at = 0;
  for (const [row, line] of text.split('\n').entries()) {
    const column = line.search(/\S/);
    // Empty where nothing is mapped.
    const entry = /** @type {Partial<import('node:module').SourceMapping>} */ (column < 0 ? {} : map.findEntry(row, column));
    if (entry.originalSource !== undefined && entry.originalLine !== undefined && entry.generatedLine === row) {
      lines.push({ at: at + column, file: resolve(dirname(path), entry.originalSource), line: entry.originalLine + 1 });
    }
    at += line.length + 1;
  }
  return { length: text.length, lines };
}

/**
 * The coverage of lines of each project, in the tests' own processes and together with the programs that the tests start.
 *
 * @param {string} report `coverage-final.json` of the tests
 * @param {Map<string, Set<number>>} ran lines that other processes ran
 * @param {string} root
 * @returns {{ project: string, lines: number, own: number, all: number }[]} the whole at the end
 */
export function lineCoverage(report, ran, root) {
  /** @type {Record<string, { path: string, statementMap: Record<string, { start: { line: number } }>, s: Record<string, number> }>} */
  const files = JSON.parse(readFileSync(report, 'utf8'));
  /** @type {Map<string, { lines: number, own: number, all: number }>} */
  const projects = new Map();
  const whole = { lines: 0, own: 0, all: 0 };
  for (const { path, statementMap, s } of Object.values(files)) {
    const project = relative(root, path).split(/[\\/]/).slice(0, 2).join('/');
    const sums = projects.get(project) ?? { lines: 0, own: 0, all: 0 };
    projects.set(project, sums);
    /** @type {Map<number, boolean>} */
    const lines = new Map();
    for (const [id, { start }] of Object.entries(statementMap)) lines.set(start.line, lines.get(start.line) === true || (s[id] ?? 0) > 0);
    for (const [line, own] of lines) {
      for (const sum of [sums, whole]) {
        sum.lines += 1;
        if (own) sum.own += 1;
        if (own || ran.get(path)?.has(line) === true) sum.all += 1;
      }
    }
  }
  return [...[...projects].sort(([a], [b]) => a.localeCompare(b)).map(([project, sums]) => ({ project, ...sums })), { project: 'all', ...whole }];
}

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from './workspace.ts';

const run = promisify(execFile);
const PROGRAMS = ['server', 'client'] as const;
type Program = (typeof PROGRAMS)[number];

/** The commands of a program, each with the flags that its help lists; `''` is the program itself, `dataset make` a command below one. */
const table: Record<Program, Map<string, Set<string>>> = { server: new Map(), client: new Map() };

/** Scripts of this repository that documents name; their flags are read from them. */
const SCRIPTS = ['tools/pretrain-small/main.ts', 'tools/verify-gpu/main.ts'];

/** Flags of other programs that documents and hints name: npm, node, git, docker. */
const OTHER_PROGRAMS = new Set([
  ...SCRIPTS.flatMap(flagsOfScript),
  ...['--prefix', '--package', '--ignore-scripts', '--omit', '--conditions', '--package-lock-only', '--project', '--allow-scripts', '--yes', '--build', '--build-arg', '--no-deps'],
  ...['--target', '--dry-run', '--follow-tags', '--help', '--version', '--logdir', '--python', '--use-env-proxy', '--disable-warning'],
  // nvidia-smi, node and its V8, and the benchmarks and the chaos test of this repository.
  ...['--query-gpu', '--format', '--eval', '--print', '--external-memory-accounted-in-global-limit', '--kills'],
]);

async function help(program: Program, ...command: string[]): Promise<string> {
  const main = path.join(ROOT, 'apps', program, 'dist', 'main.js');
  const { stdout } = await run(process.execPath, [main, ...command, '--help'], { env: { ...process.env, NODE_OPTIONS: '', COLUMNS: '200' } });
  return stdout;
}

async function learn(program: Program, command: readonly string[] = []): Promise<void> {
  const text = await help(program, ...command);
  table[program].set(command.join(' '), new Set([...text.matchAll(/^ {2}(?:-\w, )?(--[a-z][a-z-]*)/gm)].map(([, flag]) => flag!)));
  const [, listed = ''] = text.split(/^Commands:\n/m);
  const below = [...listed.matchAll(/^ {2}([a-z]+)(?:\|[a-z]+)?\b/gm)].map(([, name]) => name!).filter((name) => name !== 'help');
  await Promise.all(below.map((name) => learn(program, [...command, name])));
}

beforeAll(async () => {
  await Promise.all(PROGRAMS.map((program) => learn(program)));
}, 120_000);

/** Everything that people read: documents, and the texts of the code that are not comments. */
function texts(): { file: string; text: string }[] {
  const documents = ['README.md', 'AGENTS.md', 'CONTRIBUTING.md', ...readdirSync(path.join(ROOT, 'docs')).map((name) => `docs/${name}`)];
  const found: { file: string; text: string }[] = [];
  for (const folder of ['packages', 'apps']) {
    for (const project of readdirSync(path.join(ROOT, folder))) {
      documents.push(`${folder}/${project}/README.md`);
      const source = path.join(ROOT, folder, project, 'src');
      for (const file of readdirSync(source, { recursive: true }).map(String)) {
        if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
        const code = readFileSync(path.join(source, file), 'utf8').replace(/\/\*\*.*?\*\/|^\s*\/\/.*$/gms, '');
        found.push({ file: `${folder}/${project}/src/${file}`, text: code });
      }
    }
  }
  return [...found, ...documents.map((file) => ({ file, text: readFileSync(path.join(ROOT, file), 'utf8') }))];
}

describe('the built programs', () => {
  it('load every command: asking for its help loads all of its code', () => {
    expect([...table.server.keys()]).toEqual(expect.arrayContaining(['start', 'run', 'follow', 'status', 'stop', 'logs', 'simulate', 'token create', 'node revoke']));
    expect([...table.client.keys()]).toEqual(expect.arrayContaining(['start', 'status', 'stop', 'logs', 'enroll', 'train', 'dataset validate']));
  });
});

describe('what hints and documents name', () => {
  it('are commands that the programs have', () => {
    const unknown = texts().flatMap(({ file, text }) =>
      [...text.matchAll(/\bzk0-(server|client) ([a-z]+)(?: ([a-z]+))?/g)].flatMap(([said, program, command, second]) => {
        const known = table[program as Program];
        if (!known.has(command!) && command !== 'runs') {
          // A sentence goes on after the program's name where no command does: `zk0-client that …`.
          return isWord(command!) ? [] : [`${file}: ${said}`];
        }
        const group = [...known.keys()].some((name) => name.startsWith(`${command!} `));
        return group && second !== undefined && !known.has(`${command!} ${second}`) && !isWord(second) ? [`${file}: ${said}`] : [];
      }),
    );
    expect(unknown).toEqual([]);
  });

  it('are flags that a command has', () => {
    const known = new Set(PROGRAMS.flatMap((program) => [...table[program].values()].flatMap((flags) => [...flags])));
    const unknown = texts().flatMap(({ file, text }) =>
      [...text.matchAll(/(?<![\w-])(--[a-z][a-z-]+)\b/g)].map(([, flag]) => flag!).filter((flag) => !known.has(flag) && !OTHER_PROGRAMS.has(flag)).map((flag) => `${file}: ${flag}`),
    );
    expect([...new Set(unknown)]).toEqual([]);
  });

  it('are flags of the command that stands before them', () => {
    const wrong = texts().flatMap(({ file, text }) =>
      [...text.matchAll(/\bzk0-(server|client) ([a-z]+)(?: ([a-z]+))?((?: [^\s`|&;#'"]+| '[^']*')*)/g)].flatMap(([, program, command, second, rest]) => {
        const commands = table[program as Program];
        const flags = commands.get(`${command!} ${second ?? ''}`.trim()) ?? commands.get(command!);
        if (flags === undefined || flags.size === 0) return [];
        return [...(rest ?? '').matchAll(/(?<= )(--[a-z][a-z-]+)/g)].filter(([, flag]) => !flags.has(flag!)).map(([, flag]) => `${file}: zk0-${program!} ${command!} ${flag!}`);
      }),
    );
    expect(wrong).toEqual([]);
  });
});

/** What a script of this repository gives to `parseArgs`. */
function flagsOfScript(file: string): string[] {
  const code = readFileSync(path.join(ROOT, file), 'utf8');
  return [...code.matchAll(/^ {4}'?([a-z-]+)'?: \{ type: '(?:string|boolean)'/gm)].map(([, name]) => `--${name!}`);
}

/** Words that follow a program's name in sentences. */
function isWord(text: string): boolean {
  return /^(?:is|are|can|and|or|in|on|that|which|with|of|to|a|the|for|says|has|says|works|needs|runs|does|trains|takes|from|at|both|as|under|processes|process|release|program|programs)$/.test(text);
}

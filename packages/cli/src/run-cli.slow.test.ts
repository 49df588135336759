import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError, Zk0Error } from '@zk0/core';
import { afterAll, describe, expect, it } from 'vitest';
import { errorLine } from './error-line.ts';
import { ConfigError } from './errors.ts';
import { exitCodeOf } from './exit-code.ts';

const INDEX = new URL('./index.ts', import.meta.url).href;

const home = mkdtempSync(join(tmpdir(), 'zk0-cli-'));
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `body` as the main function of a real process; `signals` are sent one by one when it prints `ready`. */
function run(body: string, args: readonly string[] = [], signals: readonly NodeJS.Signals[] = []): Promise<Outcome> {
  const script = `
    import { runCli, quietCommander } from ${JSON.stringify(INDEX)};
    import { Command } from 'commander';
    await runCli(async (signal) => { ${body} });`;
  const flags = ['--conditions=@zk0/source', '--input-type=module', '-e', script, '--'];
  const child = spawn(process.execPath, [...flags, ...args], { cwd: import.meta.dirname, env: { ...process.env, NODE_COMPILE_CACHE: undefined, ZK0_HOME: home } });
  const waiting = [...signals];
  return new Promise((resolve) => {
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      const next = chunk.toString().includes('ready') ? waiting.shift() : undefined;
      if (next !== undefined) child.kill(next);
    });
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** A program like ours, with commands and flags. */
const PROGRAM = `
  const program = new Command('zk0').option('--verbose');
  program.command('start').option('--port <n>').option('--policy <p>').action((options) => { console.log(JSON.stringify(options)); });
  program.command('status');
  await quietCommander(program).parseAsync(process.argv.slice(1), { from: 'user' });`;

const WAIT = `
  const timer = setInterval(() => {}, 1000);
  console.log('ready');
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  clearInterval(timer);`;

describe('runCli', () => {
  it('exits 0 when main is done, or with the code it returns', async () => {
    await expect(run('')).resolves.toMatchObject({ code: 0, stderr: '' });
    await expect(run('return 7;')).resolves.toMatchObject({ code: 7 });
  });

  it('keeps what was compiled in the user’s own folder', async () => {
    await run('');
    expect(readdirSync(join(home, 'compiled')).length).toBeGreaterThan(0);
  });

  it('prints an unexpected error as one line and exits 1', async () => {
    const { code, stderr } = await run(`throw new TypeError('x is not a function');`);
    expect(code).toBe(1);
    expect(stderr).toBe(
      'error: unexpected TypeError: x is not a function. This is a defect: run again with --verbose and report what it prints.\n',
    );
  });

  it('prints the stack with --verbose', async () => {
    const { stderr } = await run(`throw new TypeError('x');`, ['--verbose']);
    expect(stderr).toMatch(/^error: unexpected TypeError: x\..*\n.*TypeError: x\n\s+at /);
  });

  it('reports errors that nobody caught', async () => {
    const { code, stderr } = await run(`setTimeout(() => { throw new Error('late'); }, 1); await new Promise((r) => setTimeout(r, 2000));`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: unexpected Error: late\. [^\n]*\n$/);
  });

  it('lets main stop cleanly on the first Ctrl-C and exits 130', async () => {
    const outcome = await run(`${WAIT} console.log('saved');`, [], ['SIGINT']);
    expect(outcome).toMatchObject({ code: 130, stdout: 'ready\nsaved\n' });
    expect(outcome.stderr).toBe('stopping; press Ctrl-C again to quit at once\n');
  });

  it('prints no error for the cancellation that it asked for', async () => {
    const outcome = await run(`${WAIT} signal.throwIfAborted();`, [], ['SIGTERM']);
    expect(outcome).toMatchObject({ code: 143, stderr: 'stopping; press Ctrl-C again to quit at once\n' });
  });

  it('quits at once on the second Ctrl-C', async () => {
    const stuck = `
      signal.addEventListener('abort', () => setTimeout(() => console.log('ready'), 600));
      ${WAIT} await new Promise((r) => setTimeout(r, 60_000));`;
    const outcome = await run(stuck, [], ['SIGINT', 'SIGINT']);
    expect(outcome).toMatchObject({ code: 130, stdout: 'ready\nready\n' });
  });

  it('takes a Ctrl-C that arrives twice at once, as under npm, for one', async () => {
    // The second from inside, at once: from here it could come late on a busy machine, as another one.
    const slow = `signal.addEventListener('abort', () => process.kill(process.pid, 'SIGINT')); ${WAIT} await new Promise((r) => setTimeout(r, 300)); console.log('saved');`;
    const outcome = await run(slow, [], ['SIGINT']);
    expect(outcome).toMatchObject({ code: 130, stdout: 'ready\nsaved\n' });
  });

  it('ends although something was left open', async () => {
    await expect(run('setInterval(() => {}, 1000);')).resolves.toMatchObject({ code: 0 });
  });
});

describe('quietCommander', () => {
  it.each([
    [['start', '--prot', '1'], "error: unknown option '--prot'. Did you mean --port?\n"],
    [['strat'], "error: unknown command 'strat'. Did you mean start?\n"],
    [['start', '--port'], "error: option '--port <n>' argument missing. See --help.\n"],
    [['start', 'extra'], "error: too many arguments for 'start'. Expected 0 arguments but got 1: extra. See --help.\n"],
  ])('%j is a usage error of one line', async (args, expected) => {
    const { code, stderr, stdout } = await run(PROGRAM, args);
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expected });
  });

  it('leaves help and proper commands alone', async () => {
    const help = await run(PROGRAM, ['start', '--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain('--port <n>');
    await expect(run(PROGRAM, ['start', '--port', '9'])).resolves.toMatchObject({ code: 0, stdout: '{"port":"9"}\n' });
  });

  it('shows help and exits 2 when the command is missing', async () => {
    const { code, stderr } = await run(PROGRAM);
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: zk0');
    expect(stderr).not.toContain('error');
  });
});

describe('errorLine', () => {
  const error = new Zk0Error('DATASET_MISSING', 'no dataset at /a\nb', { hint: 'Check --dataset', cause: new Error('why') });

  it('is one line of message and hint', () => {
    expect(errorLine(error, false)).toBe('error: no dataset at /a b. Check --dataset.');
    expect(errorLine(new Zk0Error('X', 'Really?'), false)).toBe('error: Really?');
    expect(errorLine('text', false)).toMatch(/^error: text\. This is a defect/);
  });

  it('has code, stack and causes when verbose', () => {
    expect(errorLine(error, true)).toMatch(/^error \[DATASET_MISSING\]: no dataset at \/a b\. Check --dataset\.\n/);
    expect(errorLine(error, true)).toContain('[cause]: Error: why');
  });

  it('says what to do about errors of the operating system', () => {
    const taken = Object.assign(new Error('listen EADDRINUSE: address already in use :::9092'), { code: 'EADDRINUSE' });
    expect(errorLine(taken, false)).toBe(
      'error: listen EADDRINUSE: address already in use :::9092. Choose another port with --port, or stop what is listening there.',
    );
  });
});

describe('exitCodeOf', () => {
  it('is 2 for what the user wrote, 1 for what went wrong', () => {
    expect(exitCodeOf(new ConfigError('CONFIG_INVALID', 'x'))).toBe(2);
    expect(exitCodeOf(new InvalidArgumentError('x'))).toBe(2);
    expect(exitCodeOf(new Zk0Error('X', 'x'))).toBe(1);
    expect(exitCodeOf('x')).toBe(1);
  });
});

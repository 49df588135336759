import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadConfig, loadConfigFile } from './config.ts';
import { loadEnvFile } from './env-file.ts';
import { ConfigError } from './errors.ts';

const schema = z.strictObject({
  rounds: z.int().min(1).default(20),
  learningRate: z.number().positive().default(1e-4),
  strategy: z.strictObject({ name: z.enum(['fedavg', 'fedprox']).default('fedprox'), mu: z.number().default(0.01) }).prefault({}),
  labels: z.record(z.string(), z.string()).optional(),
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'zk0-config-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(text: string): string {
  const name = path.join(folder, 'zk0.yaml');
  writeFileSync(name, text);
  return name;
}

async function refusal(sources: Parameters<typeof loadConfig>[1]): Promise<string> {
  const error: unknown = await loadConfig(schema, sources).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  const { message, hint } = error as ConfigError;
  return `${message.replaceAll(`${folder}/`, '')} | ${hint ?? ''}`;
}

describe('loadConfig', () => {
  it('sets what a schema leaves to others to check', async () => {
    const loose = z.strictObject({ strategy: z.looseObject({ name: z.string() }).default({ name: 'fedavg' }) });
    const config = await loadConfig(loose, { flags: { strategy: { name: 'fedavg' } }, set: ['strategy.guards.maxUpdateNorm=2'] });
    expect(config.strategy).toEqual({ name: 'fedavg', guards: { maxUpdateNorm: 2 } });
  });

  it('fills in defaults, then file, then flags, then --set', async () => {
    const sources = {
      file: file('rounds: 3\nlearningRate: 0.1\nstrategy:\n  mu: 0.5\n'),
      flags: { rounds: 4, learningRate: undefined, strategy: { name: 'fedavg' } },
      set: ['rounds=5', 'labels.home=north'],
    };
    await expect(loadConfig(schema, sources)).resolves.toEqual({
      rounds: 5,
      learningRate: 0.1,
      strategy: { name: 'fedavg', mu: 0.5 },
      labels: { home: 'north' },
    });
  });

  it('takes an empty file as no choice at all', async () => {
    await expect(loadConfigFile(file('# nothing\n'), schema)).resolves.toMatchObject({ rounds: 20 });
  });

  it.each([
    ['rounds: 3\nlerning_rate: 1\n', 'zk0.yaml:2: unknown key "lerning_rate" | Did you mean "learningRate"?'],
    ['strategy:\n  name: fedavg\n  nu: 1\n', 'zk0.yaml:3: unknown key "strategy.nu" | Did you mean "mu"?'],
    ['quux: 1\n', 'zk0.yaml:1: unknown key "quux" | Known: rounds, learningRate, strategy, labels'],
    ['rounds: 0\n', 'zk0.yaml:1: rounds must be at least 1 | '],
    ['rounds: 0\nx: 1\n', 'zk0.yaml:1: rounds must be at least 1 (and 1 more) | '],
    ['- a\n', 'zk0.yaml is not a map of keys to values | Write one "key: value" a line'],
    ['rounds: 1\nrounds: 2\n', 'zk0.yaml is not YAML: Map keys must be unique at line 2, column 1 | '],
    ['a: [1\n', 'zk0.yaml is not YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 2, column 1 | '],
    ['__proto__:\n  rounds: 1\n', 'zk0.yaml:1: unknown key "__proto__" | Known: rounds, learningRate, strategy, labels'],
  ])('refuses %j', async (text, expected) => {
    expect(await refusal({ file: file(text) })).toBe(expected);
  });

  it.each([
    ['lr=1', '--set lr: unknown key "lr" | Known: rounds, learningRate, strategy, strategy.name, strategy.mu, labels'],
    ['learning-rat=1', '--set learning-rat: unknown key "learning-rat" | Did you mean "learningRate"?'],
    ['strategy.nu=1', '--set strategy.nu: unknown key "strategy.nu" | Did you mean "strategy.mu"?'],
    ['labels.__proto__=1', '--set labels.__proto__: unknown key "labels.__proto__" | Known: rounds, learningRate, strategy, strategy.name, strategy.mu, labels'],
    ['rounds=abc', '--set rounds must be a number | '],
    ['rounds', '--set rounds is not of the form key=value | Write, for example, --set rounds=5'],
  ])('refuses --set %s', async (text, expected) => {
    expect(await refusal({ set: [text] })).toBe(expected);
  });

  it('blames the flag that gave a bad value', async () => {
    expect(await refusal({ flags: { learningRate: -1 } })).toBe('--learning-rate must be more than 0 | ');
  });

  it('names flags as they are written, whatever group their setting is in', async () => {
    expect(await refusal({ flags: { strategy: { mu: 'x' } } })).toBe('--mu must be a number | ');
    expect(await refusal({ flags: { strategy: { name: 'none' } } })).toBe('--strategy must be one of fedavg, fedprox | ');
  });

  it('says which file does not exist', async () => {
    expect(await refusal({ file: path.join(folder, 'none.yaml') })).toBe('none.yaml does not exist | Check the path');
  });

  it('refuses a file that is too large, unread, and a folder', async () => {
    expect(await refusal({ file: file('#'.repeat(1_000_001)) })).toMatch(/1000001 bytes, too many/);
    expect(await refusal({ file: folder })).toMatch(/cannot be read/);
  });

  it('refuses aliases that multiply', async () => {
    const bomb = ['a: &a [1,1,1,1,1,1,1,1,1,1]', ...'bcdefg'.split('').map((name, i) => {
      const previous = 'abcdef'.charAt(i);
      return `${name}: &${name} [${Array.from({ length: 10 }, () => `*${previous}`).join(',')}]`;
    })].join('\n');
    expect(await refusal({ file: file(bomb) })).toMatch(/cannot be expanded/);
  });
});

describe('loadEnvFile', () => {
  it('adds what is not set yet, and accepts a missing file', () => {
    const name = path.join(folder, '.env');
    writeFileSync(name, 'HF_TOKEN="hf_x"\nHOME=elsewhere\n');
    const environment: NodeJS.ProcessEnv = { HOME: '/home/me' };
    loadEnvFile(name, environment);
    loadEnvFile(path.join(folder, 'none'), environment);
    expect(environment).toEqual({ HOME: '/home/me', HF_TOKEN: 'hf_x' });
  });
});

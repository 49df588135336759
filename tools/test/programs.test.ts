import { execFileSync } from 'node:child_process';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './workspace.ts';

/** Every command of the built programs; asking for help loads all the code of the command. */
const commands = [
  ['server', 'start'],
  ['server', 'run'],
  ['server', 'simulate'],
  ['server', 'status'],
  ['server', 'stop'],
  ['server', 'logs'],
  ['server', 'evaluate'],
  ['server', 'checkpoint'],
  ['server', 'doctor'],
  ['client', 'start'],
  ['client', 'dataset'],
  ['client', 'checkpoint'],
  ['client', 'doctor'],
] as const;

describe('the built programs', () => {
  it.each(commands)('zk0-%s %s loads', (app, command) => {
    const main = path.join(ROOT, 'apps', app, 'dist', 'main.js');
    const help = execFileSync(process.execPath, [main, command, '--help'], { encoding: 'utf8', stdio: 'pipe' });
    expect(help).toContain(`Usage: zk0-${app} ${command}`);
  });
});

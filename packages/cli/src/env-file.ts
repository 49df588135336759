import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { ConfigError } from './errors.ts';

/**
 * Reads `.env` style secrets into `environment`; variables that are set already win, and a missing file is no error.
 *
 * @throws ConfigError when the file exists and cannot be read
 */
export function loadEnvFile(path: string, environment: NodeJS.ProcessEnv = process.env): void {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw new ConfigError('CONFIG_UNREADABLE', `${path} cannot be read`, { cause: error, hint: 'Check its permissions' });
  }
  for (const [name, value] of Object.entries(parseEnv(text))) {
    if (environment[name] === undefined && value !== undefined) environment[name] = value;
  }
}

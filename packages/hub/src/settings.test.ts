import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readSettings } from './settings.ts';

const home = mkdtempSync(join(tmpdir(), 'zk0-hub-'));
afterAll(() => {
  rmSync(home, { recursive: true });
});

describe('settings', () => {
  it.each<[NodeJS.ProcessEnv, string]>([
    [{}, join(homedir(), '.cache/huggingface/hub')],
    [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
    [{ HF_HOME: '~/h', XDG_CACHE_HOME: '/x' }, join(homedir(), 'h/hub')],
    [{ HF_HUB_CACHE: '/c', HF_HOME: '/h' }, '/c'],
    [{ HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
  ])('finds the cache by %j', async (environment, directory) => {
    expect((await readSettings({ environment })).cacheDirectory).toBe(directory);
  });

  it('finds the token, and the file that a login leaves', async () => {
    const token = async (environment: NodeJS.ProcessEnv): Promise<unknown> => (await readSettings({ environment: { HF_HOME: home, ...environment } })).token;
    expect(await token({})).toBeUndefined();
    writeFileSync(join(home, 'token'), 'hf_file\n');
    expect(await token({})).toBe('hf_file');
    expect(await token({ HF_HUB_DISABLE_IMPLICIT_TOKEN: 'true' })).toBeUndefined();
    expect(await token({ HF_TOKEN: ' hf_variable ' })).toBe('hf_variable');
    expect(await token({ HF_TOKEN: 'x', HF_ENDPOINT: 'http://mirror.example' })).toBeUndefined();
    expect(await token({ HF_TOKEN: 'x', HF_ENDPOINT: 'http://localhost:1' })).toBe('x');
    await expect(token({ HF_TOKEN: 'a b' })).rejects.toMatchObject({ code: 'HUB_SETTINGS', message: expect.not.stringContaining('a b') as string });
  });

  it.each(['ftp://x', 'x', 'https://u:p@x', 'https://x/?q', 'https://x/#f'])('refuses the endpoint %s', async (endpoint) => {
    await expect(readSettings({ endpoint, environment: {} })).rejects.toMatchObject({ code: 'HUB_SETTINGS' });
  });

  it('takes a mirror below a path', async () => {
    expect((await readSettings({ environment: { HF_ENDPOINT: 'https://mirror/hf/' } })).endpoint.href).toBe('https://mirror/hf');
  });
});

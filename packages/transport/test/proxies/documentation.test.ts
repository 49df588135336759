import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');

it.each([['nginx.conf', 'nginx'], ['Caddyfile', 'caddyfile']])('docs/proxies.md shows %s as it is tested', (file, language) => {
  const blocks = [...read('../../../../docs/proxies.md').matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)];
  const shown = blocks.filter(([, name]) => name === language).map(([, , text]) => text);
  expect(shown).toEqual([read(file)]);
});

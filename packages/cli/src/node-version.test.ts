import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { OLDEST_NODE, requireNode } from './node-version.ts';

it.each(['22.19.0', '22.19.1', '22.20.0', '23.0.0', '24.21.0', '25.0.0-nightly'])('Node %s is new enough', (version) => {
  expect(() => { requireNode(version); }).not.toThrow();
});

it.each(['22.18.9', '22.9.0', '20.20.2', '18.0.0'])('Node %s is refused by name', (version) => {
  expect(() => { requireNode(version); }).toThrow(`this is Node ${version}; zk0 needs 22.19.0 or newer`);
});

it('is what the packages say', () => {
  const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { engines: { node: string } };
  expect(engines.node).toBe(`>=${OLDEST_NODE}`);
});

import { Zk0Error } from '@zk0/core/errors';

/** The oldest Node that the programs run on, as `engines` of their packages says. */
export const OLDEST_NODE = '22.19.0';

/** @throws Zk0Error `NODE_TOO_OLD`: what such a Node lacks would otherwise be reported as a defect of ours. */
export function requireNode(version: string = process.versions.node): void {
  const [have, need] = [numbersOf(version), numbersOf(OLDEST_NODE)];
  const difference = have.map((part, index) => part - need[index]!).find((part) => part !== 0) ?? 0;
  if (difference >= 0) return;
  throw new Zk0Error('NODE_TOO_OLD', `this is Node ${version}; zk0 needs ${OLDEST_NODE} or newer`, {
    hint: 'Install a newer Node (https://nodejs.org), or run the program with one: npx --package node@24 node PROGRAM.',
  });
}

function numbersOf(version: string): number[] {
  return version.split('-')[0]!.split('.').map(Number);
}

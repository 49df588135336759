import type { SmolVlaPolicy } from '../policy.ts';

/** What a policy runs on and why not on something else, in one line for a log. */
export function describeDevice({ device, precision, rejectedDevices }: Pick<SmolVlaPolicy, 'device' | 'precision' | 'rejectedDevices'>): string {
  const rejected = rejectedDevices.map(({ device: name, reason }) => `not ${name}: ${reason.replace(`device ${name} `, '')}`);
  return `device ${device}, matrix products in ${precision}${rejected.length === 0 ? '' : ` (${rejected.join('; ')})`}`;
}

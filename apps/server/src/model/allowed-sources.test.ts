import { describe, expect, it } from 'vitest';
import { checkSources } from './allowed-sources.ts';

const folders = ['/srv/zk0/policies', '/srv/zk0/sets'];
const check = (policy: string, ...heldOut: string[]): void => {
  checkSources({ policy, heldOut }, folders);
};

describe('what a submitted run may name', () => {
  it.each(['small', 'hf:lerobot/smolvla_base', '/srv/zk0/policies/mine', 'local:/srv/zk0/policies/mine'])('the policy %s', (policy) => {
    check(policy, 'demo:cube-to-bowl', 'hf:owner/set@main', '/srv/zk0/sets/a?episodes=0-3');
  });

  it.each(['/etc/passwd', '/srv/zk0/policies/../secrets', '/srv/zk0/policies-of-others/x', '../x', './small', '~/x', 'local:/etc', 'Small'])('not the policy %s', (policy) => {
    expect(() => { check(policy); }).toThrow(expect.objectContaining({ code: 'SOURCE_NOT_ALLOWED' }) as Error);
  });

  it.each(['/home/anna/set', 'small', 'file:///srv/zk0/sets/a', '/srv/zk0/sets/../../x?episodes=1'])('not the held-out dataset %s', (uri) => {
    expect(() => { check('small', uri); }).toThrow(`held-out dataset ${uri} is not in a folder`);
  });
});

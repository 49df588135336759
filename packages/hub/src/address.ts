import { HubError } from './errors.ts';

/** What `hf:owner/name[@revision]` names. Whether it is a model or a dataset, the place where it is used says. */
export interface HubAddress {
  /** `owner/name`. */
  readonly repository: string;
  /** Branch, tag, `refs/pr/N` or commit; `main` where the address has none. */
  readonly revision: string;
}

/** Names as the hub allows them; `--` is what the cache's folders separate them with. */
const NAME = /^(?!.*(?:--|\.\.))(?!.*\.git$)[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?$/;
/** Revisions become file names under `refs/`, so nothing may climb out of there. */
const REVISION = /^(?!.*(?:\.\.|\/\/|\/\.))[\w][\w./+-]{0,254}(?<![/.])$/;

/** Whether an address is meant for the hub. */
export function isHubAddress(text: string): boolean {
  return text.startsWith('hf:');
}

/**
 * Parses `hf:owner/name` or `hf:owner/name@revision`.
 *
 * @throws HubError `HUB_ADDRESS`
 */
export function parseHubAddress(text: string): HubAddress {
  const [, owner = '', name = '', revision = 'main'] = /^hf:([^/@]*)\/([^/@]*)(?:@(.*))?$/s.exec(text) ?? [];
  if (!NAME.test(owner) || !NAME.test(name) || !REVISION.test(revision)) {
    throw new HubError('HUB_ADDRESS', `${JSON.stringify(text)} is no hub address`, {
      hint: 'Write hf:owner/name or hf:owner/name@revision.',
    });
  }
  return { repository: `${owner}/${name}`, revision };
}

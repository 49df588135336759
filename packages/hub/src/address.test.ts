import { describe, expect, it } from 'vitest';
import { parseHubAddress } from './address.ts';

describe('parseHubAddress', () => {
  it.each([
    ['hf:lerobot/smolvla_base', 'lerobot/smolvla_base', 'main'],
    ['hf:a/b@v2.1', 'a/b', 'v2.1'],
    ['hf:a/b@refs/pr/3', 'a/b', 'refs/pr/3'],
    ['hf:HuggingFaceTB/SmolVLM2-500M-Video-Instruct@0123456789abcdef0123456789abcdef01234567', 'HuggingFaceTB/SmolVLM2-500M-Video-Instruct', '0123456789abcdef0123456789abcdef01234567'],
  ])('reads %s', (text, repository, revision) => {
    expect(parseHubAddress(text)).toEqual({ repository, revision });
  });

  it.each([
    '', 'a/b', 'hf:', 'hf:a', 'hf:a/', 'hf:/b', 'hf:a/b/c', 'hf:../b', 'hf:a/..', 'hf:a--b/c', 'hf:a/b.git', 'hf:a/b@',
    'hf:a/b@../x', 'hf:a/b@x/../y', 'hf:a/b@/x', 'hf:a/b@x/', 'hf:a/b@x y', 'hf:a/b@x\n', 'hf:a/b\0', `hf:a/${'b'.repeat(97)}`,
    'hf:a/b@.x', 'hf:a/b@x/.y', 'hf:-a/b', 'hf:a/b-',
  ])('refuses %j', (text) => {
    expect(() => parseHubAddress(text)).toThrow(expect.objectContaining({ code: 'HUB_ADDRESS' }));
  });
});

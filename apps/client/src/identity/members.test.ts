import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readMembers } from './members.ts';

const folder = mkdtempSync(join(tmpdir(), 'zk0-members-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const [ANNA, BEN] = ['47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU', 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg'];
function file(text: string): string {
  const path = join(folder, 'members');
  writeFileSync(path, text);
  return path;
}

it('has a member a line, by its id', async () => {
  expect([...(await readMembers(file(`# our labs\n\nanna ${ANNA}\r\n  ben\t${BEN}  # on the ground floor`)))]).toEqual([['anna', ANNA], ['ben', BEN]]);
});

it.each([
  ['a line that is none', `anna ${ANNA}\nben`, /members, line 2: not a member’s id and the fingerprint of its key/],
  ['a fingerprint that is cut off', `anna ${ANNA.slice(1)}`, /line 1: not a member’s id/],
  ['an id that no node can have', `../anna ${ANNA}`, /line 1: not a member’s id/],
  ['more in a line', `anna ${ANNA} ${BEN}`, /line 1: not a member’s id/],
  ['a member that is there twice', `anna ${ANNA}\nanna ${BEN}`, /line 2: anna is there twice/],
  ['no member', '# none\n', /members names no member/],
])('names %s', async (_, text, message) => {
  await expect(readMembers(file(text))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) as string });
});

it('that cannot be read is named', async () => {
  await expect(readMembers(join(folder, 'none'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(/^--members .*none cannot be read: ENOENT/) as string });
});

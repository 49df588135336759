import { describe, expect, it } from 'vitest';
import { advertise, dealShares, drawSecrets, keyPairOf, masksOf, openShare, SecureAggregationError, type PublicKeys } from '../src/index.ts';
import { Rehearsal } from './rehearsal.ts';

const seat = { context: 'run/1', member: 'me' };
const peers = (count: number): Map<string, PublicKeys> => new Map(Array.from({ length: count }, (_, index) => [`p${index}`, advertise(drawSecrets())]));
const refused = (code: string): unknown => expect.objectContaining({ code }) as unknown;

describe('dealing shares', () => {
  it('is refused where fewer than half of the holders, or too few of all, would give a secret', () => {
    const secrets = drawSecrets();
    for (const [neighbours, needed] of [[peers(4), 2], [peers(4), 6], [peers(1), 2], [new Map([...peers(3), ['me', advertise(secrets)]]), 3]] as const) {
      expect(() => dealShares(seat, secrets, neighbours, needed)).toThrow(refused('SECURE_REQUEST_REFUSED'));
    }
    const [twin] = peers(1).values();
    expect(() => dealShares(seat, secrets, new Map([['a', twin!], ['b', twin!]]), 2)).toThrow('the same key of two neighbours');
  });

  it('is refused with keys that everybody agrees on the same with', () => {
    const zero = { ...advertise(drawSecrets()), encryption: new Uint8Array(32) };
    expect(() => dealShares(seat, drawSecrets(), new Map([...peers(2), ['z', zero]]), 3)).toThrow(refused('SECURE_KEY_INVALID'));
    expect(() => dealShares(seat, drawSecrets(), new Map([...peers(2), ['z', { ...zero, encryption: new Uint8Array(31) }]]), 3)).toThrow(refused('SECURE_KEY_INVALID'));
  });

  it('a share opens for whom it was sealed, of whom and in the sum that it was sealed for, and unchanged', () => {
    const made = new Rehearsal(['a', 'b', 'c'], 2);
    const { sealed } = dealShares(made.seat('a'), made.of('a').secrets, made.keysOf(['b', 'c']), 2);
    const message = sealed.get('b')!;
    const open = (to: string, from: string, bytes: Uint8Array, context = made.context): unknown => openShare({ context, member: to }, made.of(to).secrets, from, made.of(from).keys, bytes);
    expect(open('b', 'a', message)).toBeDefined();
    const attempts: [string, string, Uint8Array, string?][] = [
      ['c', 'a', message],
      ['b', 'c', message],
      ['b', 'a', message, 'run/2'],
      ['b', 'a', message.map((byte, index) => (index === 20 ? byte ^ 1 : byte))],
      ['b', 'a', message.subarray(0, 10)],
      ['b', 'a', new Uint8Array()],
    ];
    for (const attempt of attempts) expect(() => open(...attempt)).toThrow(refused('SECURE_SHARE_INVALID'));
  });
});

it('a vector is not masked where too few holders of its secrets are there', () => {
  expect(() => masksOf(seat, drawSecrets(), peers(2), 4)).toThrow(refused('SECURE_TOO_FEW'));
  expect(() => masksOf(seat, drawSecrets(), peers(1), 1)).toThrow(refused('SECURE_TOO_FEW'));
});

it('key pairs are those of RFC 7748, section 6.1', () => {
  const alice = Buffer.from('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a', 'hex');
  expect(Buffer.from(keyPairOf(alice).publicKey).toString('hex')).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
  expect(() => keyPairOf(new Uint8Array(5))).toThrow(SecureAggregationError);
});

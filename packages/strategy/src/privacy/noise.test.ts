import { describe, expect, it } from 'vitest';
import { addGaussian, createNoiseSecret, deriveNoiseKey } from './noise.ts';

const secret = Uint8Array.from({ length: 32 }, (_, index) => index);
const roundKey = deriveNoiseKey(secret, 'round', 1);
const tensorKey = deriveNoiseKey(roundKey, 'tensor', '0');

function draw(key: Uint8Array, offset: number, count: number): number[] {
  const values = new Float64Array(count);
  addGaussian(key, offset, 1, values);
  return [...values];
}

describe('keys', () => {
  // Python's hmac and hashlib.
  it('are HKDF-SHA-256 of the secret and the purpose', () => {
    expect(Buffer.from(roundKey).toString('hex')).toBe('d7d7dc3e508994b49fd153b698a41721a7b7ae141ba3936d09439855ba580615');
    expect(Buffer.from(tensorKey).toString('hex')).toBe('357b547f29630cc725889b0799d82bddbcff00856278a67e47f9ff22c541be44');
  });

  it('differ for purposes that would read the same joined', () => {
    const keys = [['a', 'b'], ['ab'], ['a', 'b', ''], ['a,b'], ['a', 1], ['a', 11]].map((purpose) => Buffer.from(deriveNoiseKey(secret, ...purpose)).toString('hex'));
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('need a secret of full length', () => {
    expect(() => deriveNoiseKey(new Uint8Array(31), 'x')).toThrow('at least 32 bytes');
    expect(() => deriveNoiseKey('0'.repeat(64) as unknown as Uint8Array, 'x')).toThrow('at least 32 bytes');
    const secrets = [createNoiseSecret(), createNoiseSecret()];
    expect(secrets[0]).toHaveLength(32);
    expect(secrets[0]).not.toEqual(secrets[1]);
  });
});

describe('Gaussian noise', () => {
  // openssl enc -aes-256-ctr and Python's math; the third crosses 2^32 blocks.
  it.each([
    [0, [-0.06831528133454648, 0.9300710585697666, -1.394460190539015, 1.557745087033106]],
    [8192, [1.1141540875681097, 1.5106101240627934, -0.8500389423445297]],
    [2 ** 33 - 2, [1.5015691651653305, -0.21048186206978978, 0.2801893487361538, -0.8448434130660594]],
  ])('from value %i on is %j', (offset, expected) => {
    for (const [index, value] of draw(tensorKey, offset, expected.length).entries()) expect(value).toBeCloseTo(expected[index]!, 12);
  });

  it('is the same however it is cut into pieces', () => {
    const whole = draw(tensorKey, 0, 20_000);
    for (const [offset, count] of [[2, 1], [4096, 4096], [4098, 9000], [19_998, 2]] as const) {
      expect(draw(tensorKey, offset, count)).toEqual(whole.slice(offset, offset + count));
    }
    expect(() => draw(tensorKey, 3, 2)).toThrow('even positions');
  });

  it('is added, in units of sigma', () => {
    const values = Float64Array.of(1, 2, 3);
    addGaussian(tensorKey, 0, 0.5, values);
    const noise = draw(tensorKey, 0, 3);
    for (const [index, value] of values.entries()) expect(value).toBeCloseTo(index + 1 + 0.5 * noise[index]!, 12);
  });

  it('has the tails of a normal distribution', () => {
    const count = 200_000;
    const values = draw(tensorKey, 0, count);
    for (const [bound, probability] of [[1, 0.31731], [2, 0.0455], [3, 0.0026998], [4, 6.334e-5]] as const) {
      const beyond = values.filter((value) => Math.abs(value) > bound).length;
      expect(Math.abs(beyond - count * probability)).toBeLessThan(5 * Math.sqrt(count * probability));
    }
    expect(values.every((value) => Math.abs(value) < 8.6)).toBe(true);
  });
});

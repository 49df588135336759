import { CancelledError } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSecretName, REDACTED, Redactor } from './redact.ts';

const redactor = new Redactor(['s3cret-value'], { HF_TOKEN: 'hf_abcDEF123456', WANDB_API_KEY: 'wandbwandb', HOME: '/home/x' });

describe('isSecretName', () => {
  it.each(['token', 'hfToken', 'myHfToken', 'HFToken', 'myAPIKey', 'AWS_SECRET_ACCESS_KEY', 'signingKey', 'credentials', 'noiseSecret', 'HF_TOKEN', 'WANDB_API_KEY', 'apikey', 'x-auth-token', 'user.password', 'Authorization'])(
    'takes %s for a secret',
    (name) => {
      expect(isSecretName(name)).toBe(true);
    },
  );

  it.each(['tokens', 'num_tokens', 'tokenizer', 'step', 'keys', 'passwordless', 'key', 'broken', 'JWTs'])('leaves %s alone', (name) => {
    expect(isSecretName(name)).toBe(false);
  });
});

describe('Redactor', () => {
  it('removes values of secret variables and given secrets wherever they stand', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.constantFrom('s3cret-value', 'hf_abcDEF123456', 'wandbwandb'), (a, b, secret) => {
        const clean = JSON.stringify(redactor.fields({ text: a + secret + b, deep: [{ [`k${a}`]: secret }], [secret]: 1 }));
        expect(clean).not.toContain(secret);
      }),
    );
  });

  it('keeps values of ordinary variables', () => {
    expect(redactor.text('in /home/x')).toBe('in /home/x');
  });

  it('removes what looks like a secret', () => {
    expect(redactor.text('Authorization: Bearer abc.def-123')).toBe(`Authorization: Bearer ${REDACTED}`);
    expect(redactor.text('http://me:hunter22@host/x?token=abcdef&a=1')).toBe(`http://me:${REDACTED}@host/x?token=${REDACTED}&a=1`);
    expect(redactor.text('with hf_0123456789abcdef')).toBe(`with ${REDACTED}`);
  });

  it('replaces fields named like secrets without reading them', () => {
    const fields = Object.defineProperty({ step: 1 }, 'token', {
      enumerable: true,
      get: () => {
        throw new Error('read');
      },
    });
    expect(redactor.fields(fields)).toEqual({ step: 1, token: REDACTED });
  });

  it('bounds long strings, deep and wide objects, and survives cycles', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const wide = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i]));
    const clean = redactor.fields({ cycle, wide, long: 'x'.repeat(1e6), many: Array.from({ length: 1e5 }, () => 1) });
    expect(JSON.stringify(clean).length).toBeLessThan(8000);
    expect(clean['wide']).toHaveProperty('k63');
    expect(clean['wide']).not.toHaveProperty('k64');
  });

  it('names errors with code, hint and cause', () => {
    const error = new CancelledError('the round', { hint: 'Start again', cause: new Error('token=abcdefg') });
    expect(redactor.value(error)).toMatchObject({
      name: 'CancelledError',
      code: 'CANCELLED',
      hint: 'Start again',
      cause: { message: `token=${REDACTED}` },
    });
  });

  it.each(['message', 'stack', 'hint', 'name', 'code'] as const)('removes a secret from an error’s %s, and from that of its cause', (part) => {
    const error = Object.assign(new CancelledError('the round', { hint: 'Start again' }), { [part]: 'with s3cret-value inside' });
    for (const value of [error, new Error('outer', { cause: error }), [{ error }]]) {
      const clean = JSON.stringify(redactor.value(value));
      expect(clean).not.toContain('s3cret-value');
      expect(clean).toContain(`with ${REDACTED} inside`);
    }
  });

  it('removes the longer of two secrets whole, whichever was given first', () => {
    for (const secrets of [['abcdef', 'abcdefghij'], ['abcdefghij', 'abcdef']]) {
      expect(new Redactor(secrets, {}).text('x abcdefghij y abcdef z')).toBe(`x ${REDACTED} y ${REDACTED} z`);
    }
  });

  it('removes what stands in a map under the name of a secret, and known values anywhere in maps and sets', () => {
    const map = new Map<unknown, unknown>([['myHfToken', 'abc'], ['step', 1], [{ password: 'abc' }, 'hf_abcDEF123456'], ['wandbwandb', new Map([['apiKey', ['abc']]])]]);
    expect(redactor.value({ map, set: new Set(['s3cret-value']) })).toEqual({
      map: [['myHfToken', REDACTED], ['step', 1], [{ password: REDACTED }, REDACTED], [REDACTED, [['apiKey', REDACTED]]]],
      set: [REDACTED],
    });
  });

  it('looks at no more of a map or set than it keeps', () => {
    let asked = 0;
    const endless = new Set<number>();
    Object.assign(endless, { *[Symbol.iterator]() { for (;;) yield asked++; } });
    expect(redactor.value(endless)).toHaveLength(65);
    expect(asked).toBeLessThan(70);
    expect(redactor.value(new Map(Array.from({ length: 100 }, (_, index) => [index, index])))).toHaveLength(65);
  });

  it('knows a secret as it stands in JSON and in addresses', () => {
    const odd = new Redactor(['a"b\\c d/é'], {});
    for (const text of [JSON.stringify({ x: 'a"b\\c d/é' }), `https://host/?q=${encodeURIComponent('a"b\\c d/é')}`]) {
      expect(odd.text(text)).toContain(REDACTED);
      expect(odd.text(text)).not.toMatch(/c d|c%20d/);
    }
    expect(odd.value(new URL('https://host/?token=abcdefg'))).toBe(`https://host/?token=${REDACTED}`);
  });

  it('removes secrets of JSON that stands in a text, and private keys', () => {
    for (const body of ['{"token":"abc","step":1}', JSON.stringify({ body: '{"enrolToken" : "abc","step":1}' })]) {
      const clean = redactor.text(`the server said ${body}`);
      expect(clean).not.toContain('abc');
      expect(clean).toContain('step');
    }
    const pem = '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----';
    expect(redactor.text(`key ${pem} end`)).toBe(`key ${REDACTED} end`);
    expect(redactor.text(pem.slice(0, 40))).toBe(REDACTED);
  });

  it('ends in the time of a test on long texts that almost match', () => {
    // A pattern that were quadratic would take hours for one of them.
    for (const text of ['\\', '"', '"token', '://a:', 'token=', '-----BEGIN PRIVATE KEY-----', 'bearer ', '":"', 'hf_']) {
      expect(redactor.text(text.repeat(400_000)).length).toBeLessThan(4200);
    }
  });

  it('never copies the content of binary data', () => {
    expect(redactor.value(new Float32Array(4))).toBe('Float32Array(16 bytes)');
  });
});

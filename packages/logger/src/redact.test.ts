import { CancelledError } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSecretName, REDACTED, Redactor } from './redact.ts';

const redactor = new Redactor(['s3cret-value'], { HF_TOKEN: 'hf_abcDEF123456', WANDB_API_KEY: 'wandbwandb', HOME: '/home/x' });

describe('isSecretName', () => {
  it.each(['token', 'hfToken', 'HF_TOKEN', 'WANDB_API_KEY', 'apikey', 'x-auth-token', 'user.password', 'Authorization'])(
    'takes %s for a secret',
    (name) => {
      expect(isSecretName(name)).toBe(true);
    },
  );

  it.each(['tokens', 'num_tokens', 'tokenizer', 'step', 'keys', 'passwordless'])('leaves %s alone', (name) => {
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

  it('never copies the content of binary data', () => {
    expect(redactor.value(new Float32Array(4))).toBe('Float32Array(16 bytes)');
  });
});

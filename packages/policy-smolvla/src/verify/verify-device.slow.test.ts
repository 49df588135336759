import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyWorkspace } from '../../test/tiny-policy.ts';
import { isVerified, verificationRows } from './describe-verification.ts';
import { verifyDevice } from './verify-device.ts';

let workspace: Awaited<ReturnType<typeof tinyWorkspace>>;

beforeAll(async () => {
  workspace = await tinyWorkspace();
});

afterAll(() => workspace.remove());

it('finds float16 as far from float32 as 16 bits are, in every part', { timeout: 240_000 }, async () => {
  const seen: string[] = [];
  const found = await verifyDevice({
    device: 'cpu',
    precision: 'float16',
    threads: 1,
    cacheDirectory: workspace.root,
    onProgress: (part) => seen.push(part),
  });
  expect(found).toMatchObject({ device: 'cpu', precision: 'float16' });
  expect(seen).toEqual(['image tokens', 'prefix', 'loss and gradients', '4 optimiser steps', 'actions']);
  for (const { part, difference } of found.parts) expect(difference, part).toBeGreaterThan(1e-5);
  expect(isVerified(found)).toBe(true);

  const wrong = { ...found, parts: found.parts.map((part) => ({ ...part, difference: NaN })) };
  expect(isVerified(wrong)).toBe(false);
  expect(verificationRows(wrong)[0]![0]).toBe('DIFFERS');
});

it('says at once that a device or a precision is not there', async () => {
  const options = { threads: 1, cacheDirectory: workspace.root };
  await expect(verifyDevice({ ...options, device: 'nonsense' })).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
  await expect(verifyDevice({ ...options, device: 'cpu', precision: 'bfloat16' })).rejects.toMatchObject({ code: 'PRECISION_UNAVAILABLE' });
});

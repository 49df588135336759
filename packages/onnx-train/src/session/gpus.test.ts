import { expect, it } from 'vitest';
import { listGpus, parseNvidiaSmi } from './gpus.ts';

it("reads what nvidia-smi says of each GPU", () => {
  const text = 'NVIDIA GeForce RTX 4090, 24564, 23010, 550.54.14, 8.9\nTesla T4, 15360, 15000, 550.54.14, 7.5\n';
  expect(parseNvidiaSmi(text)).toEqual([
    { name: 'NVIDIA GeForce RTX 4090', memoryBytes: 24564 * 2 ** 20, freeBytes: 23010 * 2 ** 20, driver: '550.54.14', computeCapability: '8.9' },
    { name: 'NVIDIA Tesla T4', memoryBytes: 15360 * 2 ** 20, freeBytes: 15000 * 2 ** 20, driver: '550.54.14', computeCapability: '7.5' },
  ]);
  expect(parseNvidiaSmi('No devices were found\n')).toEqual([]);
});

it('never fails for want of a driver', async () => {
  for (const { name } of await listGpus()) expect(name).not.toBe('');
});

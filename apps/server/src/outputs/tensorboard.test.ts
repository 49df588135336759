import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exampleRounds } from './testing.ts';
import { crc32c, TensorBoardWriter } from './tensorboard.ts';
import { scalarsOf } from './tensorboard-scalars.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'zk0-events-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('crc32c', () => {
  it('agrees with the check value and the vectors of RFC 3720', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e);
  });
});

describe('TensorBoardWriter', () => {
  it('writes the bytes that TensorBoard reads', () => {
    const writer = new TensorBoardWriter(folder, () => 1_000);
    writer.scalars(300, { 'server/loss': 0.5 });
    writer.scalars(301, {});
    writer.close();
    // EventAccumulator of tensorboard 2.21 reads these very bytes as wall time 1, step 300, server/loss 0.5.
    expect(readFileSync(writer.path).toString('hex')).toBe(
      '1a00000000000000129bd82d09000000000000f03f10001a0d627261696e2e4576656e743a32cc314e92' +
        '220000000000000078113dfd09000000000000f03f10ac022a140a120a0b7365727665722f6c6f7373150000003ff742fd34',
    );
  });

  it('names no machine', () => {
    const writer = new TensorBoardWriter(folder, () => 1_700_000_000_000);
    writer.close();
    expect(path.basename(writer.path)).toBe(`events.out.tfevents.1700000000.zk0.${process.pid}`);
  });
});

describe('scalarsOf', () => {
  it('groups tags so that clients share a plot', () => {
    const [zero, one] = exampleRounds(2, 1);
    expect(scalarsOf(zero!)).toEqual({ 'server/policy_loss': 1, 'server_policy_loss/held': 1 });
    expect(scalarsOf(one!)).toMatchObject({
      'server/policy_loss': 0.5,
      'aggregated/num_clients': 2,
      'aggregated/lr': 1e-4,
      'client_loss/client_0': 0.5,
      'client_loss/client_1': 0.6,
    });
  });
});

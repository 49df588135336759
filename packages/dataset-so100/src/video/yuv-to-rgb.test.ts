import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { Scaler } from 'node-av/api';
import { Frame } from 'node-av/lib';
import { Random } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { yuvToRgb } from './yuv-to-rgb.ts';

const sizes = [2, 8, 34, 66, 98, 132, 324, 640].map((width) => ({ width, height: width === 640 ? 480 : width + 2 }));

// What swscale gives depends on the processor: on others than x86 it rounds otherwise.
describe.skipIf(process.arch !== 'x64')('yuvToRgb (against swscale; skipped on processors other than x86)', () => {
  it.each(sizes)(
    'gives its bytes for any samples: $width × $height',
    ({ width, height }) => {
      const random = new Random(`${width} ${height}`);
      const bytes = Buffer.from(Uint8Array.from({ length: (width * height * 3) / 2 }, () => random.below(256)));
      const frame = new Frame();
      frame.alloc();
      Object.assign(frame, { width, height, format: AV_PIX_FMT_YUV420P });
      frame.getBuffer();
      frame.fromBuffer(bytes);
      const scaler = new Scaler();
      const expected = new Uint8Array(scaler.toBufferSync(frame, { format: 'rgb' }));
      scaler.close();
      frame.free();
      const plane = (from: number, stride: number): { bytes: Uint8Array; stride: number } => ({ bytes: bytes.subarray(from), stride });
      const [luma, half] = [width * height, width / 2];
      const planes = { y: plane(0, width), u: plane(luma, half), v: plane(luma * 1.25, half) };
      const rgb = new Uint8Array(width * height * 3);
      yuvToRgb(planes, { width, height }, rgb);
      expect(Buffer.compare(rgb, expected)).toBe(0);
    },
  );
});

import { describe, expect, it } from 'vitest';
import { chooseEncoding } from './choose-encoding.ts';

const parameters = { hash: '0'.repeat(64), byteLength: 400e6 };
/** A client that trained for 100 s and then sent so many bytes a second. */
const line = (bytesASecond: number): Record<string, number> => ({ bytes_up: 60e6, upload_s: 60e6 / bytesASecond, duration_s: 100 });

describe('the encoding of a client’s update', () => {
  it('is what the run says, for every client', () => {
    expect(chooseEncoding('float32', parameters, line(1))).toBe('float32');
    expect(chooseEncoding('delta', parameters, null)).toBe('delta');
  });

  it('with auto is the most precise that takes a quarter of the training at most', () => {
    // 200, 103, 53 and 24 MB in 25 s.
    expect([8.1e6, 7.9e6, 4.2e6, 4.1e6, 2.2e6, 2.1e6, 1000].map((bytes) => chooseEncoding('auto', parameters, line(bytes)))).toEqual(['bfloat16', 'int8', 'int8', 'int4', 'int4', 'compressed', 'compressed']);
  });

  it('with auto is int8 until something has been measured', () => {
    expect(chooseEncoding('auto', parameters, null)).toBe('int8');
    expect(chooseEncoding('auto', parameters, { loss: 1 })).toBe('int8');
    expect(chooseEncoding('auto', parameters, { bytes_up: 1, upload_s: 0, duration_s: 1 })).toBe('int8');
  });
});

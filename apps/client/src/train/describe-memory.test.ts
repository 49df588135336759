import { describe, expect, it } from 'vitest';
import { describeBatchParts, describeMemory } from './describe-memory.ts';

describe('the memory that training needs', () => {
  it('is said beside what there is', () => {
    expect(describeMemory({ bytes: 7.06e9, total: 24e9, batchSize: 8, parts: 1 })).toBe('training needs about 7.1 of 24.0 GB of memory');
    expect(describeMemory({ bytes: 7.06e9, total: undefined, batchSize: 8, parts: 1 })).toBe('training needs about 7.1 GB of memory');
  });

  it('is said with the parts of a batch that it allows', () => {
    expect(describeMemory({ bytes: 7e9, total: 8e9, batchSize: 64, parts: 4 })).toBe(
      'training needs about 7.0 of 8.0 GB of memory; each batch of 64 is computed in 4 parts of 16, one after the other, with the same result but for rounding',
    );
    expect(describeMemory({ bytes: 9e9, total: 8e9, batchSize: 2, parts: 2 })).toContain('that is more than there is');
  });

  it('is said when it ran out, with the reason', () => {
    expect(describeBatchParts({ batchSize: 8, parts: 2, reason: 'the memory of device cuda does not suffice' })).toBe(
      'the memory of device cuda does not suffice; each batch of 8 is computed in 2 parts of 4, one after the other, with the same result but for rounding from here on, and the round begins anew',
    );
  });
});

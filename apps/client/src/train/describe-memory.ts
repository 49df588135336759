import type { LearnerOptions } from '@zk0/policy-smolvla';

type Memory = Parameters<NonNullable<LearnerOptions['onMemory']>>[0];
type BatchParts = Parameters<NonNullable<LearnerOptions['onBatchParts']>>[0];

/** What training takes of the device's memory, in a sentence. */
export function describeMemory({ bytes, total, batchSize, parts }: Memory): string {
  const needs = total === undefined ? gigabytes(bytes) : `${(bytes / 1e9).toFixed(1)} of ${gigabytes(total)}`;
  const how = parts === 1 ? '' : `; ${inParts(batchSize, parts)}`;
  const isTooMuch = total !== undefined && bytes > total;
  return `training needs about ${needs} of memory${how}${isTooMuch ? ': that is more than there is, however small the parts are in which a batch is computed' : ''}`;
}

/** That memory ran out, and what is done about it. */
export function describeBatchParts({ batchSize, parts, reason }: BatchParts): string {
  return `${reason}; ${inParts(batchSize, parts)} from here on, and the round begins anew`;
}

function inParts(batchSize: number, parts: number): string {
  return `each batch of ${batchSize} is computed in ${parts} parts of ${batchSize / parts}, one after the other, with the same result but for rounding`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

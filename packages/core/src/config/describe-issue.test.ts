import { expect, it } from 'vitest';
import * as z from 'zod';
import { describeIssue } from './describe-issue.ts';

const words = (schema: z.ZodType, value: unknown): string => describeIssue(schema.safeParse(value).error!.issues[0]!);

it.each([
  [z.number(), undefined, 'is missing; it must be a number'],
  [z.number(), 'x', 'must be a number'],
  [z.number(), Number.NaN, 'must be a number'],
  [z.int(), 1.5, 'must be a whole number'],
  [z.number().min(0), -1, 'must be at least 0'],
  [z.number().gt(0), 0, 'must be more than 0'],
  [z.number().max(1), 2, 'must be at most 1'],
  [z.number().lt(1), 1, 'must be less than 1'],
  [z.string().min(1), '', 'must not be empty'],
  [z.array(z.string()).max(1), ['a', 'b'], 'must have at most 1 entries'],
  [z.enum(['a', 'b']), 'c', 'must be one of a, b'],
  [z.strictObject({ a: z.string() }), { a: '', b: 1 }, 'has an unknown option: b'],
  [z.iso.datetime(), 'yesterday', 'does not have the form that is expected'],
])('says what is wrong in words of its own: %#', (schema, value, expected) => {
  expect(words(schema, value)).toBe(expected);
});

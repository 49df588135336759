import { stat } from 'node:fs/promises';
import { errorMessage } from '@zk0/core';
import { readJsonFile, StorageError } from '@zk0/storage';
import type * as z from 'zod';
import { PolicyError, type PolicyErrorCode } from '../errors.ts';

/** Whether a path names something that exists. */
export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/**
 * Reads a JSON file of a policy and checks it against a schema.
 *
 * @throws PolicyError with `code`, naming the file and the fields.
 */
export async function readPolicyJson<S extends z.ZodType>(path: string, schema: S, code: PolicyErrorCode): Promise<z.output<S>> {
  let value: unknown;
  try {
    value = await readJsonFile(path);
  } catch (error) {
    if (error instanceof StorageError && error.code === 'FILE_POINTER') throw error;
    throw new PolicyError(code, errorMessage(error), { cause: error, hint: 'Download or write the policy again.' });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, 5).map(({ path: at, message }) => `${at.map(String).join('.') || 'file'}: ${message}`);
  throw new PolicyError(code, `${path}: ${issues.join('; ')}`, { hint: 'Correct the file, or download it again.' });
}

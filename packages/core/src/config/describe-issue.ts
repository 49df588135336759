import type * as z from 'zod';

/** As types are called in sentences. */
const TYPES: Readonly<Record<string, string>> = {
  number: 'a number',
  int: 'a whole number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of names to values',
  record: 'a map of names to values',
  date: 'a date',
  null: 'empty',
};

/**
 * What is wrong with a value that a schema refused, as a sentence goes on after its name: `must be at least 1`.
 * The words are ours, so that no library's reach people.
 */
export function describeIssue(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type': {
      const wanted = TYPES[issue.expected] ?? issue.expected;
      return /received undefined$/.test(issue.message) ? `is missing; it must be ${wanted}` : `must be ${wanted}`;
    }
    case 'too_small':
      return limit(issue.origin, 'least', issue.minimum, issue.inclusive !== false);
    case 'too_big':
      return limit(issue.origin, 'most', issue.maximum, issue.inclusive !== false);
    case 'invalid_value':
      return issue.values.length === 1 ? `must be ${String(issue.values[0])}` : `must be one of ${issue.values.map(String).join(', ')}`;
    case 'unrecognized_keys':
      return `has ${issue.keys.length === 1 ? 'an unknown option' : 'unknown options'}: ${issue.keys.join(', ')}`;
    case 'not_multiple_of':
      return issue.divisor === 1 ? 'must be a whole number' : `must be a multiple of ${issue.divisor}`;
    case 'invalid_format':
      return 'does not have the form that is expected';
    case 'invalid_union':
      return 'has none of the forms that are possible';
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
      return issue.message;
  }
}

function limit(origin: string, side: 'least' | 'most', bound: number | bigint, inclusive: boolean): string {
  if (origin === 'string' || origin === 'array' || origin === 'set') {
    if (side === 'least' && bound === 1) return 'must not be empty';
    return `must have at ${side} ${bound} ${origin === 'string' ? 'characters' : 'entries'}`;
  }
  if (inclusive) return `must be at ${side} ${bound}`;
  return side === 'least' ? `must be more than ${bound}` : `must be less than ${bound}`;
}

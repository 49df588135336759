import { createHash } from 'node:crypto';

/** A name for the file or folder of a task or part: letters, digits and dashes, different for different texts. */
export function slugOf(text: string): string {
  const words = text.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 40);
  return `${words === '' ? 'task' : words}-${createHash('sha256').update(text).digest('hex').slice(0, 6)}`;
}

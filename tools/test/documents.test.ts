import { globSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './workspace.ts';

const MAX_CHARACTERS = 120;

const documents = globSync(['*.md', '{docs,deploy,tools}/**/*.md', '{packages,apps}/*/*.md', 'packages/*/test/**/*.md'], { cwd: ROOT });

/** Lines of prose: not of tables, code or pictures, which cannot be broken. */
function proseOf(text: string): { readonly line: number; readonly words: string }[] {
  let isCode = false;
  return text.split('\n').flatMap((words, index) => {
    if (/^\s*(?:```|~~~)/.test(words)) isCode = !isCode;
    return isCode || /^\s*(?:```|~~~|\||!\[)|^ {4}/.test(words) ? [] : [{ line: index + 1, words }];
  });
}

describe('the documents', () => {
  it('are found', () => {
    expect(documents.length).toBeGreaterThan(40);
  });

  it.each(documents)('%s has lines that fit on a screen', (file) => {
    const long = proseOf(readFileSync(path.join(ROOT, file), 'utf8')).filter(({ words }) => words.length > MAX_CHARACTERS);
    expect(long.map(({ line }) => line)).toEqual([]);
  });
});

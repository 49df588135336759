import { printable, wrapText } from '@zk0/cli';

/** Longer lines than this are hard to read, however wide the terminal is. */
const MAX_COLUMNS = 100;

/** Columns that text for people may take: of the terminal, and without end where there is none. */
export function pageWidth(stream: { readonly isTTY?: boolean; readonly columns?: number } = process.stdout): number {
  return stream.isTTY === true ? Math.min(MAX_COLUMNS, stream.columns ?? 80) : Infinity;
}

/** A paragraph, wrapped, every line indented; `mark` stands before the first. */
export function paragraph(text: string, width: number, indent: number, mark = ''): string[] {
  const margin = ' '.repeat(indent);
  const hang = ' '.repeat(mark.length);
  return wrapText(printable(text), width - indent - mark.length).map((line, i) => `${margin}${i === 0 ? mark : hang}${line}`);
}

/** The line about features that a written dataset lacks; none where it has all. */
export function notCopied(features: readonly string[]): readonly string[] {
  return features.length === 0 ? [] : [`Not copied, v3.0 as written here has no columns for them: ${features.join(', ')}`];
}

/** `1 episode`, `2 episodes`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

import { fitText, printable, textWidth } from './text-width.ts';

/** One column of {@link table}. */
export interface TableColumn {
  readonly header: string;
  /** Numbers are read more easily from the right. @default 'left' */
  readonly align?: 'left' | 'right';
}

const GAP = '  ';
/** A column is not cut narrower than this. */
const MIN_COLUMN = 4;

/**
 * A plain table with a header and a rule, for the terminal.
 *
 * The widest columns are cut, with `…`, until a line fits `width`. Numbers are not cut, for a part of one is another: the headers above
 * them are, and where that is not enough the last columns are left out.
 *
 * @param rows cells in the order of `columns`; missing ones are empty
 * @param width columns of the terminal; without a terminal nothing is cut
 */
export function table(
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  width: number = process.stdout.isTTY ? process.stdout.columns : Infinity,
): string {
  const cells = [columns.map((column) => column.header), ...rows].map((row) =>
    columns.map((_, index) => printable(row[index] ?? '')),
  );
  const widest = (rowsOf: readonly string[][], index: number): number => Math.max(0, ...rowsOf.map((row) => textWidth(row[index]!)));
  const widths = columns.map((_, index) => widest(cells, index));
  const least = columns.map(({ align }, index) => (align === 'right' ? Math.max(MIN_COLUMN, widest(cells.slice(1), index)) : MIN_COLUMN));
  while (total(widths) > width) {
    const spare = widths.map((columnWidth, index) => (columnWidth > least[index]! ? columnWidth : 0));
    const most = Math.max(...spare);
    if (most > 0) widths[spare.indexOf(most)]!--;
    else if (widths.length > 1) widths.pop();
    else break;
  }
  const lines = cells.map((row) =>
    row
      .slice(0, widths.length)
      .map((cell, index) => aligned(cell, widths[index]!, columns[index]!.align ?? 'left'))
      .join(GAP)
      .trimEnd(),
  );
  const rule = widths.map((columnWidth) => '─'.repeat(columnWidth)).join(GAP);
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
}

function aligned(cell: string, width: number, align: 'left' | 'right'): string {
  const fitted = fitText(cell, width);
  const padding = ' '.repeat(width - textWidth(fitted));
  return align === 'right' ? padding + fitted : fitted + padding;
}

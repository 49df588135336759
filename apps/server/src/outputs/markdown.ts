/** A table of cells that are Markdown already. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Text of others as inline code. */
export function code(text: string): string {
  const flat = text.replace(/[\p{Cc}\p{Cs}`|]/gu, ' ').trim();
  return flat === '' ? '–' : `\`${flat}\``;
}

/** Text of others between other text. */
export function escape(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}]/gu, ' ').replace(/[\\`*_{}[\]()#+!|<>]/g, '\\$&');
}

/** Text of others as a value of YAML. */
export function quoted(text: string): string {
  return JSON.stringify(text.replace(/[\p{Cc}\p{Cs}`<>|]/gu, ' ').trim());
}

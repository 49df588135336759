/** Longest label that fits beside or under a chart. */
const MAX_LABEL_CHARS = 34;

/** A label from text that others chose: bounded, printable. */
export function label(text: string, maxChars = MAX_LABEL_CHARS): string {
  const printable = text.replace(/\p{Cc}|\p{Cs}|[\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, ' ');
  return printable.length > maxChars ? `${printable.slice(0, maxChars - 1)}…` : printable;
}

/** At most four significant digits, without trailing zeros: what an axis shows. */
export function tick(value: number): string {
  return String(Number(value.toPrecision(4)));
}

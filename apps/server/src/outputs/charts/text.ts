/** Longest label that fits beside or under a chart. */
const MAX_LABEL_CHARS = 34;

/** A label from text that others chose: bounded, printable. */
export function label(text: string): string {
  const printable = text.replace(/\p{Cc}|\p{Cs}|[\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, ' ');
  return printable.length > MAX_LABEL_CHARS ? `${printable.slice(0, MAX_LABEL_CHARS - 1)}…` : printable;
}

/** At most four significant digits, without trailing zeros: what an axis shows. */
export function tick(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** A client's id for people: ids are often bare numbers. */
export function clientLabel(id: string): string {
  return label(id.startsWith('client') ? id : `client ${id}`);
}

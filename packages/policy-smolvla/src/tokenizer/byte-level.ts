/**
 * The byte-to-character table of byte-level BPE (GPT-2): every byte is written as one printable character, so that a
 * vocabulary is plain text. Printable Latin-1 bytes stand for themselves, the others are moved up to U+0100 and on.
 */
export function byteCharacters(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let moved = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : 0x100 + moved++));
}

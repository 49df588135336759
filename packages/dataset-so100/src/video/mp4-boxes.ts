/** A box of an MP4 (ISO 14496-12): where its content is. */
export interface Box {
  readonly type: string;
  /** First byte of the content. */
  readonly start: number;
  readonly end: number;
}

/** Decodes a box header at `offset`; `limit` is where the enclosing space ends (for boxes that reach to its end). */
export function boxAt(bytes: Buffer, offset: number, limit: number): Box | null {
  if (offset + 8 > bytes.length) return null;
  const type = bytes.toString('latin1', offset + 4, offset + 8);
  let length = bytes.readUInt32BE(offset);
  let header = 8;
  if (length === 0) length = limit - offset;
  if (length === 1) {
    if (offset + 16 > bytes.length) return null;
    length = Number(bytes.readBigUInt64BE(offset + 8));
    header = 16;
  }
  if (length < header || !Number.isSafeInteger(length) || !/^[\x20-\x7e\xa9]{4}$/.test(type)) return null;
  return { type, start: offset + header, end: offset + length };
}

/** The boxes of a type right inside another one. */
export function children(bytes: Buffer, parent: Box, type: string): Box[] {
  const found: Box[] = [];
  for (let offset = parent.start; offset < parent.end; ) {
    const box = boxAt(bytes, offset, parent.end);
    if (box === null || box.end > parent.end) break;
    if (box.type === type) found.push(box);
    offset = box.end;
  }
  return found;
}

/** The first box of a type right inside another one. */
export function child(bytes: Buffer, parent: Box | undefined, type: string): Box | undefined {
  return parent === undefined ? undefined : children(bytes, parent, type)[0];
}

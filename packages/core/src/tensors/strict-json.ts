/**
 * `JSON.parse` that refuses an object with the same key twice at any level.
 * JSON.parse keeps the last one silently, which lets two readers of one file see different tensors.
 */
export function parseStrictJson(text: string): unknown {
  // One pass over the text finds the keys; JSON.parse, which must agree that the text is valid, builds the value.
  const value: unknown = JSON.parse(text);
  const open: (Set<string> | null)[] = [];
  let index = 0;
  while (index < text.length) {
    const character = text[index]!;
    if (character === '"') {
      const end = stringEnd(text, index);
      const keys = open.at(-1);
      if (keys && isKey(text, end)) {
        const key = JSON.parse(text.slice(index, end)) as string;
        if (keys.has(key)) throw new SyntaxError(`key ${JSON.stringify(key)} appears twice`);
        keys.add(key);
      }
      index = end;
      continue;
    }
    if (character === '{') open.push(new Set());
    else if (character === '[') open.push(null);
    else if (character === '}' || character === ']') open.pop();
    index++;
  }
  return value;
}

function stringEnd(text: string, start: number): number {
  let index = start + 1;
  while (text[index] !== '"') index += text[index] === '\\' ? 2 : 1;
  return index + 1;
}

function isKey(text: string, end: number): boolean {
  let index = end;
  while (text[index] === ' ' || text[index] === '\n' || text[index] === '\t' || text[index] === '\r') index++;
  return text[index] === ':';
}

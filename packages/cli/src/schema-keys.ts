import { z } from 'zod';

/** What a schema says about the keys at one path. */
export type KeysAt =
  /** An object with these keys; a loose one takes others, too. */
  | { readonly kind: 'object'; readonly keys: readonly string[]; readonly loose: boolean }
  /** A value, a list, or a map with keys of the user's choice. */
  | { readonly kind: 'open' };

const OPEN: KeysAt = { kind: 'open' };

/** The keys that `schema` knows below `path`; wrappers (optional, default, …) are looked through. */
export function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): KeysAt {
  const shape = shapeOf(schema);
  if (shape === undefined) return OPEN;
  const [head, ...rest] = path;
  if (head === undefined) return { kind: 'object', keys: [...shape.keys()], loose: isLoose(schema) };
  const next = shape.get(String(head));
  return next === undefined ? OPEN : keysAt(next, rest);
}

/** Every dotted path that `schema` knows: `rounds`, `strategy`, `strategy.mu`. */
export function dottedPaths(schema: z.core.$ZodType, prefix = ''): string[] {
  return [...(shapeOf(schema) ?? [])].flatMap(([key, value]) => [
    prefix + key,
    ...dottedPaths(value, `${prefix}${key}.`),
  ]);
}

/** Whether a value may stand at `path`. Below a map with keys of the user's choice the schema lists nothing, but its own prefix is known. */
export function isKnownPath(schema: z.core.$ZodType, path: readonly string[]): boolean {
  return path.every((key, depth) => {
    const keys = keysAt(schema, path.slice(0, depth));
    return key !== '__proto__' && (keys.kind === 'open' ? depth > 0 : keys.loose || keys.keys.includes(key));
  });
}

function shapeOf(schema: z.core.$ZodType): Map<string, z.core.$ZodType> | undefined {
  const inner = unwrapped(schema);
  return inner instanceof z.ZodObject ? new Map(Object.entries<z.core.$ZodType>(inner.shape)) : undefined;
}

function isLoose(schema: z.core.$ZodType): boolean {
  const inner = unwrapped(schema);
  return inner instanceof z.ZodObject && inner.def.catchall !== undefined && !(inner.def.catchall instanceof z.ZodNever);
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly
  ) {
    return unwrapped(schema.unwrap());
  }
  return schema instanceof z.ZodPipe ? unwrapped(schema.in) : schema;
}

import type { JsonObject } from '@zk0/transport';

/** A value as it will be read back from the journal: without `undefined`, dates as text. */
export function toJson(value: unknown): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

import { InvalidArgumentError } from '@zk0/core';

/**
 * What a process does of a server's work: `all` of it; as a `front`, it answers clients and operators, hands out tasks and takes in updates;
 * as an `aggregate`, it drives runs when its turn comes, and computes parts of aggregations.
 */
export type Role = 'all' | 'front' | 'aggregate';

/** Parts that aggregations are cut into where processes do nothing else. */
const AGGREGATE_SHARDS = 8;

/** A role, and into how many parts aggregations are cut (1: none). */
export interface RoleSettings {
  readonly role: Role;
  readonly shards: number;
}

/** @throws InvalidArgumentError where a role or parts are asked for that need a place which processes share */
export function roleSettings({ role, shards, backend, blobs }: { readonly role: Role; readonly shards?: number | undefined; readonly backend?: string | undefined; readonly blobs?: string | undefined }): RoleSettings {
  const wanted = role === 'all' ? undefined : `--role ${role}`;
  const shared = wanted ?? (shards !== undefined && shards > 1 ? `--shards ${shards}` : undefined);
  if (shared !== undefined && (backend === undefined || blobs === undefined)) {
    throw new InvalidArgumentError(`${shared} needs a ledger and blobs that several processes share`, { hint: 'Give --backend nats://… and --blobs s3://…; docs/many-servers.md shows how.' });
  }
  return { role, shards: shards ?? (role === 'aggregate' ? AGGREGATE_SHARDS : 1) };
}

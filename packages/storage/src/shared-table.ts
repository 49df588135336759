/** A row as it was read. */
export interface SharedRow {
  readonly key: string;
  /** JSON text. */
  readonly value: string;
  /** Changes with every change of the row. */
  readonly revision: number;
}

/**
 * Rows that several processes share, by key (letters, digits, `_`, `-`, `=` and `.`), changed by revision: of several writers one wins.
 * `@zk0/federation-nats` has one. Any method may throw one of the errors that `isPassingStorageError` tells.
 */
export interface SharedTable {
  /** `null` where there is none. */
  get(key: string): Promise<SharedRow | null>;
  /** Every row whose key begins so. */
  list(prefix: string): Promise<readonly SharedRow[]>;
  /** Writes a row if its revision is the one named, or with `null` if there is none. @returns whether it was written */
  replace(key: string, value: string, revision: number | null): Promise<boolean>;
  /** Removes a row; does nothing where there is none. */
  remove(key: string): Promise<void>;
}

/** Names that can be taken once, for a time. */
export interface SharedNames {
  /** @returns whether it was free. @throws StorageError `STORE_UNREACHABLE`, which passes */
  take(name: string): Promise<boolean>;
}

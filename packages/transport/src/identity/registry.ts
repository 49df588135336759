/** How long an enrolment token is good for when nothing is said: 7 days. */
export const DEFAULT_TOKEN_LIFETIME_MS = 7 * 24 * 3600 * 1000;
/** Enrolments that one token may allow at most. */
export const MAX_TOKEN_USES = 10_000;
/** Longest name of a dataset and longest note of a token, in UTF-16 units. */
export const MAX_NAME = 200;

/** What an operator may say about a new enrolment token. */
export interface TokenOptions {
  /** Nodes that may enrol with it (1). */
  readonly uses?: number;
  /** How long it is good for, in ms ({@link DEFAULT_TOKEN_LIFETIME_MS}). */
  readonly expiresInMs?: number;
  /** Nodes that enrol with it wait until an operator approves them (`false`). */
  readonly needsApproval?: boolean;
  /** For the operator to read. */
  readonly note?: string;
}

/** An enrolment token as the registry knows it; the token itself is not kept. */
export interface TokenInfo {
  readonly id: string;
  readonly uses: number;
  readonly used: number;
  readonly needsApproval: boolean;
  readonly note: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
}

/** `pending`: enrolled, and an operator has not approved it yet. `revoked` is for ever: the node enrols again with a new key. */
export type NodeState = 'pending' | 'approved' | 'revoked';

/** A node that has enrolled. */
export interface NodeInfo {
  readonly clientId: string;
  /** The name of its key: SHA-256 of the public key in base64url. */
  readonly fingerprint: string;
  /** 32 bytes in base64url. */
  readonly publicKey: string;
  /** What the node says it trains on. */
  readonly dataset: string;
  readonly state: NodeState;
  readonly enrolledAt: Date;
  /** When its last request came; what another process reads is up to a minute old. */
  readonly lastSeenAt: Date | null;
  /** The token that it enrolled with. */
  readonly tokenId: string;
}

/** A node that wants to enrol; that it has the private key has been proved. */
export interface Enrolment {
  readonly token: string;
  readonly clientId: string;
  readonly publicKey: string;
  readonly dataset: string;
}

/**
 * Who may take part in the federations of a server: enrolment tokens and the nodes that enrolled with them. Changes are durable when
 * a method resolves, and seen by every process that has the registry open.
 *
 * {@link openNodeRegistry} keeps it in an SQLite file; a database of several servers can implement the same.
 */
export interface NodeRegistry {
  /** Names the server that nodes enrol with; made once. A signature for one server is worth nothing to another. */
  readonly serverId: string;

  /** @returns the token, which can not be had again, and what is kept about it. @throws InvalidArgumentError */
  createToken(options?: TokenOptions): Promise<{ readonly token: string; readonly info: TokenInfo }>;
  /** Oldest first. */
  listTokens(): Promise<readonly TokenInfo[]>;
  /** Nobody enrols with it any more; nodes that did stay. @throws TransportError `TOKEN_UNKNOWN` */
  revokeToken(id: string): Promise<TokenInfo>;

  /**
   * Enrols a node and counts the use of its token, both or neither. A node that enrols again with the same key, id and token gets the
   * answer that it had (its reply may have been lost), and no use is counted.
   *
   * @throws TransportError `TOKEN_REFUSED` (unknown, expired, used up, revoked), `CLIENT_ID_TAKEN`, `NODE_REVOKED`
   */
  enroll(enrolment: Enrolment): Promise<NodeInfo>;
  /** The node whose key has this fingerprint; `null` when none enrolled. */
  node(fingerprint: string): Promise<NodeInfo | null>;
  /** Oldest first. */
  listNodes(): Promise<readonly NodeInfo[]>;
  /** @param name - client id or fingerprint. @throws TransportError `NODE_UNKNOWN`, `NODE_REVOKED` */
  approveNode(name: string): Promise<NodeInfo>;
  /** Its requests are refused from now on, and its client id is free. @throws TransportError `NODE_UNKNOWN` */
  revokeNode(name: string): Promise<NodeInfo>;
  /** A request of this node has come. Cheap: at most one write a minute, for all nodes together. */
  seen(fingerprint: string): Promise<void>;

  close(): Promise<void>;
}

import * as z from 'zod';

const MAX_PEERS = 255;
const clientId = z.string().min(1).max(64);
/** Base64 of exactly so many bytes, of a number that leaves 2 when it is divided by 3. */
const base64 = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[A-Za-z0-9+/]{${(4 * (bytes + 1)) / 3 - 1}}=$`));
const byPeer = <T extends z.ZodType>(value: T): z.ZodRecord<typeof clientId, T> =>
  z.record(clientId, value).refine((peers) => Object.keys(peers).length <= MAX_PEERS, { message: `more than ${MAX_PEERS} peers` });
const peers = z.array(clientId).max(MAX_PEERS);

/** What a client makes known of itself for one round: two X25519 keys, and the SHA-256 of the seed of its own mask; signed where the client has a key that lasts. */
export const secureKeysSchema = z.strictObject({
  encryption: base64(32),
  masking: base64(32),
  seedHash: base64(32),
  signed: z.strictObject({ publicKey: z.string().regex(/^[\w-]{43}$/), signature: z.base64().length(88) }).exactOptional(),
});
export type SecureKeys = z.infer<typeof secureKeysSchema>;

/** Sealed shares of a client's two secrets, by the client that each is for. */
export const secureSharesSchema = byPeer(base64(92));
export type SecureShares = z.infer<typeof secureSharesSchema>;

/** What takes masks off: shares of the seeds of those in the sum, and of the keys of those who dropped out. */
export const secureUnmaskSchema = z.strictObject({ seeds: byPeer(base64(32)), keys: byPeer(base64(32)) });
export type SecureUnmask = z.infer<typeof secureUnmaskSchema>;

/** The instructions of a `secure-shares` task. */
export const secureSharesTaskSchema = z.strictObject({
  /** Whom shares are dealt to. */
  neighbours: byPeer(secureKeysSchema),
  /** Shares that give a secret. */
  needed: z.int().min(2).max(MAX_PEERS),
});
export type SecureSharesTask = z.infer<typeof secureSharesTaskSchema>;

/** What all clients of a round agree on about the numbers that they mask. */
export const secureFitSchema = z.strictObject({
  /** The most updates that may be in the sum. */
  clients: z.int().min(3).max(4096),
  clip: z.number().gt(0),
  /** The number of examples at which an update has the whole weight. */
  maxWeight: z.number().gt(0),
});
export type SecureFit = z.infer<typeof secureFitSchema>;

/** The instructions of a `secure-unmask` task. */
export const secureUnmaskTaskSchema = z.strictObject({ survivors: peers, dropped: peers });
export type SecureUnmaskTask = z.infer<typeof secureUnmaskTaskSchema>;

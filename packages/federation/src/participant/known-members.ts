import type { NodeSigner, SecureKeys } from '@zk0/core';
import { checkSignedKeys, SecureAggregationError, signKeys, type PublicKeys, type Seat } from '@zk0/secure-aggregation';
import { decode, decodeKeys, encode, encodeKeys } from '../run/secure/record.ts';

/** How other clients recognise this client's keys, and whose keys this client accepts. */
export interface MemberTrust {
  /** Signs the keys that this client makes known. */
  readonly signer?: NodeSigner;
  /**
   * Fingerprints of the nodes' keys that this client shares masks with, by their ids, from their owners and not from the server. Absent: whoever
   * the server names.
   */
  readonly members?: ReadonlyMap<string, string>;
}

/** Keys as they travel, signed where there is a signer. */
export function advertisedKeys(seat: Seat, keys: PublicKeys, { signer }: MemberTrust): SecureKeys {
  if (signer === undefined) return encodeKeys(keys);
  const { publicKey, signature } = signKeys(seat, keys, signer);
  return { ...encodeKeys(keys), signed: { publicKey, signature: encode(signature) } };
}

/**
 * The keys of the neighbours that the server names.
 *
 * @param context the sum.
 * @throws SecureAggregationError `SECURE_KEY_UNTRUSTED` naming the first whom this client does not know, or whose keys its own key has not signed.
 */
export function trustedKeys(context: string, neighbours: Readonly<Record<string, SecureKeys>>, { members }: MemberTrust): ReadonlyMap<string, PublicKeys> {
  return new Map(
    Object.entries(neighbours).map(([member, sent]) => {
      const keys = decodeKeys(sent);
      if (members === undefined) return [member, keys];
      const fingerprint = members.get(member);
      if (fingerprint === undefined) {
        throw new SecureAggregationError('SECURE_KEY_UNTRUSTED', `${member} is none of the members that this client knows`, {
          hint: 'Ask its owner for its line, and put it into the file of --members; or the server makes up clients: do not take part.',
        });
      }
      const signed = sent.signed && { publicKey: sent.signed.publicKey, signature: decode(sent.signed.signature) };
      checkSignedKeys({ context, member }, keys, signed, fingerprint);
      return [member, keys];
    }),
  );
}

import { randomBytes } from 'node:crypto';
import { openSecretFile } from './secret-file.ts';

/**
 * The operators' credential of a server, kept in a file that only its owner may read; made at the first call.
 * Programs of the same user on the same machine read it there, others are given it by hand.
 *
 * @throws TransportError `SECRET_FILE_UNUSABLE`
 */
export function openOperatorToken(path: string): Promise<string> {
  return openSecretFile(path, "operator's token", () => randomBytes(32).toString('base64url'));
}

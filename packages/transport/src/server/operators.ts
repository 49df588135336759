import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { OperatorPrincipal } from '@zk0/core';
import { TransportError } from '../errors.ts';

/**
 * Who an operator's request comes from.
 *
 * @param token - the operators' credential; anybody on this machine is an operator when absent.
 * @throws TransportError `UNAUTHORIZED`
 */
export function authenticateOperator(headers: IncomingHttpHeaders, token: string | undefined): OperatorPrincipal {
  if (token === undefined) return { role: 'operator', name: 'anybody on this machine' };
  const given = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  if (given === undefined || !sameSecret(given, token)) {
    const problem = given === undefined ? "an operator's token is needed" : "the operator's token is wrong";
    throw new TransportError('UNAUTHORIZED', problem, { hint: 'Give the token that the server was started with.' });
  }
  return { role: 'operator', name: 'operator token' };
}

/** Constant time: both are hashed, so that neither content nor length shows. */
export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

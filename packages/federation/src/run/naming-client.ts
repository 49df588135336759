/** Errors of updates name their client themselves; what a client reports of itself does not. */
export function namingClient(clientId: string, message: string): string {
  const name = `client ${clientId}`;
  const isNamed = message.startsWith(`${name}: `) || message.startsWith(`${name}, `);
  return isNamed ? message : `${name}: ${message}`;
}

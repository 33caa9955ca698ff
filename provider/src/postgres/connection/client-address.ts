/** A server without a matching entry in pg_hba.conf names the client's address as it sees it. */
const seenAddress = /\bhost "([0-9a-f.:]+)"/;

/**
 * The range of this machine's address for pg_hba.conf and firewalls: from the server's message if it names the address,
 * otherwise a placeholder.
 */
export function clientAddress(message: string): string {
  const address = seenAddress.exec(message)?.[1];
  if (address === undefined) return "<address of the worker>/32";
  return `${address}/${address.includes(":") ? 128 : 32}`;
}

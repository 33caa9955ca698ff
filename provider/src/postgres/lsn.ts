/**
 * A log sequence number: a byte position in the write-ahead log, unsigned 64 bits. PostgreSQL writes it as two
 * hexadecimal halves with a slash between, without leading zeros (`16/B374D848`); see the manual, "pg_lsn Type".
 */
export type Lsn = bigint;

const form = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

export function parseLsn(text: string): Lsn {
  const match = form.exec(text);
  if (!match) throw new RangeError(`not an LSN: ${JSON.stringify(text)}`);
  return (BigInt(`0x${match[1]!}`) << 32n) | BigInt(`0x${match[2]!}`);
}

export function formatLsn(lsn: Lsn): string {
  const half = (bits: bigint): string => bits.toString(16).toUpperCase();
  return `${half(lsn >> 32n)}/${half(lsn & 0xffffffffn)}`;
}

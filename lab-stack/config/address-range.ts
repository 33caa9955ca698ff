import { Address4, AddressError } from "ip-address";

/**
 * Parses an IPv4 range in CIDR notation.
 *
 * @example parseAddressRange("10.0.1.0/24").subnetMask === 24
 * @throws InvalidAddressRangeError for text in another format, and for an address with bits beyond the prefix
 */
export function parseAddressRange(text: string): Address4 {
  const range = parseWithPrefix(text);
  if (range.networkForm() !== text)
    throw new InvalidAddressRangeError(`${text} has bits beyond its prefix, write ${range.networkForm()}`);
  return range;
}

function parseWithPrefix(text: string): Address4 {
  const invalid = `invalid address range "${text}", expected CIDR notation such as 10.0.1.0/24`;
  if (!text.includes("/")) throw new InvalidAddressRangeError(invalid);
  try {
    return new Address4(text);
  } catch (error) {
    if (error instanceof AddressError) throw new InvalidAddressRangeError(invalid);
    throw error;
  }
}

export const contains = (outer: Address4, inner: Address4): boolean => inner.isInSubnet(outer);

/** CIDR ranges either nest or have no address in common. */
export const overlap = (one: Address4, other: Address4): boolean => contains(one, other) || contains(other, one);

export class InvalidAddressRangeError extends Error {
  override readonly name = "InvalidAddressRangeError";
}

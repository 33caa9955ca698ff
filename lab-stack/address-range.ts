/** A range of IPv4 addresses in CIDR notation. */
export class AddressRange {
  /** The first address as a 32-bit number. */
  readonly first: number;
  /** The last one. */
  readonly last: number;

  private constructor(
    readonly text: string,
    readonly prefixLength: number,
    first: number,
  ) {
    this.first = first;
    this.last = first + 2 ** (32 - prefixLength) - 1;
  }

  /** @throws InvalidAddressRange when the text is no range, or its address has bits beyond the prefix */
  static parse(text: string): AddressRange {
    const [address = "", length = "", ...rest] = text.split("/");
    const prefixLength = /^\d{1,2}$/.test(length) ? Number(length) : Number.NaN;
    if (rest.length > 0 || !(prefixLength <= 32)) {
      throw new InvalidAddressRange(`${text} is no range of addresses; write one as 10.0.1.0/24`);
    }
    const size = 2 ** (32 - prefixLength);
    const first = addressNumber(address);
    if (first % size !== 0) {
      const start = addressText(first - (first % size));
      throw new InvalidAddressRange(`${text} does not begin at its prefix; write ${start}/${prefixLength}`);
    }
    return new AddressRange(text, prefixLength, first);
  }

  overlaps(other: AddressRange): boolean {
    return this.first <= other.last && other.first <= this.last;
  }

  contains(other: AddressRange): boolean {
    return this.first <= other.first && other.last <= this.last;
  }

  /** The address at a distance from the first one. */
  at(offset: number): string {
    return addressText(this.first + offset);
  }
}

export class InvalidAddressRange extends Error {
  override readonly name = "InvalidAddressRange";
}

function addressNumber(address: string): number {
  const parts = address.split(".");
  const isAddress = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
  if (!isAddress) throw new InvalidAddressRange(`${address} is no IPv4 address; write one as 10.0.1.4`);
  return parts.reduce((number, part) => number * 256 + Number(part), 0);
}

function addressText(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
}
